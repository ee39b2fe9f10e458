//! Holds a tree of configuration against a JSON schema and collects everything that does not fit.
//!
//! Only the words of JSON schema that schemars writes for configuration structures are known here.

use serde_json::{Map, Value};

use super::Problem;
use super::tree::{Data, Node, Place};
use super::units::text_fits;

/// Checks `node` against `schema` (a root schema with `$defs`) and adds what is wrong to `problems`.
/// An unquoted number or boolean that stands where only text may stand becomes that text.
pub(super) fn check(schema: &Value, node: &mut Node, problems: &mut Vec<Problem>) {
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    Check { definitions }.node(schema, node, "", problems);
}

struct Check<'s> {
    definitions: &'s Map<String, Value>,
}

impl<'s> Check<'s> {
    fn node(&self, schema: &'s Value, node: &mut Node, key: &str, problems: &mut Vec<Problem>) {
        let schema = self.resolve(schema);
        if let Some(branches) = branches_of(schema) {
            self.one_of(branches, node, key, problems);
            // A tagged enum keeps the keys that all its variants share beside `oneOf`.
            if !schema.get("properties").is_some_and(Value::is_object) {
                return;
            }
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            return check_word(allowed, node, key, problems);
        }
        if let Some(only) = schema.get("const") {
            return check_word(std::slice::from_ref(only), node, key, problems);
        }
        if !self.kind_fits(schema, node) {
            let expected = self.describe(schema);
            problems.push(node.problem(key, format!("expected {expected}, not {}", describe_data(&node.data))));
            return;
        }
        match &mut node.data {
            Data::Map(_) => self.map(schema, node, key, problems),
            Data::List(items) => {
                if let Some(item_schema) = schema.get("items") {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.node(item_schema, item, &join(key, &index.to_string()), problems);
                    }
                }
            }
            Data::Scalar(value, _) => {
                if let Some(message) = bounds_problem(schema, value) {
                    problems.push(node.problem(key, message));
                }
            }
        }
    }

    fn map(&self, schema: &'s Value, node: &mut Node, key: &str, problems: &mut Vec<Problem>) {
        let place = node.place.clone();
        let Data::Map(entries) = &mut node.data else { return };
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (name, name_place, value) in entries.iter_mut() {
            let inner_key = join(key, name);
            match (known.and_then(|known| known.get(name)), others) {
                (Some(inner), _) => self.node(inner, value, &inner_key, problems),
                (None, Some(Value::Bool(false))) => {
                    let names = known.into_iter().flat_map(Map::keys).map(String::as_str);
                    problems.push(unknown(name_place, &inner_key, "unknown key", name, names));
                }
                (None, Some(inner @ Value::Object(_))) => self.node(inner, value, &inner_key, problems),
                (None, _) => {}
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !entries.iter().any(|(known, ..)| known == name) {
                problems.push(Problem {
                    place: place.clone(),
                    key: key.to_owned(),
                    message: format!("`{name}` is missing"),
                });
            }
        }
    }

    fn one_of(&self, branches: &'s [Value], node: &mut Node, key: &str, problems: &mut Vec<Problem>) {
        // What may be left out (`Option`) is judged by its other branch alone once it is written.
        let written = !matches!(node.data, Data::Scalar(Value::Null, _));
        if let [branch, Value::Object(null)] = branches
            && written
            && null.get("type").is_some_and(|kind| kind == "null")
        {
            return self.node(branch, node, key, problems);
        }
        if let Some(words) = self.words_of(branches)
            && matches!(node.data, Data::Scalar(..))
        {
            return check_word(&words, node, key, problems);
        }
        match self.pick(branches, node) {
            Pick::Branch(branch) => self.node(branch, node, key, problems),
            Pick::UnknownWord { what, place, word, names } => {
                problems.push(unknown(&place, key, &what, &word, names.iter().map(String::as_str)));
            }
            Pick::Undecided => {
                let mut best: Option<(Vec<Problem>, Node)> = None;
                for branch in branches {
                    let (mut found, mut copy) = (Vec::new(), node.clone());
                    self.node(branch, &mut copy, key, &mut found);
                    if best.as_ref().is_none_or(|(fewest, _)| found.len() < fewest.len()) {
                        best = Some((found, copy));
                    }
                }
                if let Some((found, copy)) = best {
                    if branches.len() > 1 && found.len() == 1 && found.first().is_some_and(|problem| problem.key == key)
                    {
                        let expected: Vec<_> =
                            branches.iter().map(|branch| self.describe(self.resolve(branch))).collect();
                        let message = format!("expected {}, not {}", expected.join(" or "), describe_data(&node.data));
                        problems.push(node.problem(key, message));
                    } else {
                        problems.extend(found);
                    }
                    *node = copy;
                }
            }
        }
    }

    /// Which variant a map means: by its tag (`type: filestream`) or by its only key (`grok: {...}`).
    fn pick(&self, branches: &'s [Value], node: &Node) -> Pick<'s> {
        let Data::Map(entries) = &node.data else { return Pick::Undecided };
        let (mut names, mut tag) = (Vec::new(), None);
        for branch in branches {
            let properties = self.resolve(branch).get("properties").and_then(Value::as_object);
            for (property, schema) in properties.into_iter().flatten() {
                let Some(word) = self.resolve(schema).get("const").and_then(Value::as_str) else { continue };
                let written = entries.iter().find(|(name, ..)| name == property);
                if let Some((_, place, Node { data: Data::Scalar(Value::String(value), _), .. })) = written {
                    if value == word {
                        return Pick::Branch(branch);
                    }
                    tag = Some((property.clone(), place.clone(), value.clone()));
                    names.push(word.to_owned());
                }
            }
        }
        if let Some((property, place, word)) = tag {
            return Pick::UnknownWord { what: format!("unknown {property}"), place, word, names };
        }
        let Some(keyed) = branches.iter().map(|branch| self.only_key(branch)).collect::<Option<Vec<_>>>() else {
            return Pick::Undecided;
        };
        let found = entries.iter().find_map(|(name, ..)| keyed.iter().position(|word| word == name));
        match (found.and_then(|index| branches.get(index)), entries.first()) {
            (Some(branch), _) => Pick::Branch(branch),
            (None, Some((word, place, _))) => Pick::UnknownWord {
                what: "unknown key".to_owned(),
                place: place.clone(),
                word: word.clone(),
                names: keyed.into_iter().map(str::to_owned).collect(),
            },
            (None, None) => Pick::Undecided,
        }
    }

    /// The key of a branch that is an object with exactly one required property, as for an enum's variant.
    fn only_key(&self, branch: &'s Value) -> Option<&'s str> {
        match self.resolve(branch).get("required").and_then(Value::as_array)?.as_slice() {
            [only] => only.as_str(),
            _ => None,
        }
    }

    /// The words of an enum whose variants carry nothing.
    fn words_of(&self, branches: &'s [Value]) -> Option<Vec<Value>> {
        let mut words = Vec::new();
        for branch in branches {
            let branch = self.resolve(branch);
            match (branch.get("const"), branch.get("enum").and_then(Value::as_array)) {
                (Some(word), _) => words.push(word.clone()),
                (None, Some(several)) => words.extend(several.iter().cloned()),
                (None, None) => return None,
            }
        }
        Some(words)
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // A reference chain as long as the definitions would be a circle.
        for _ in 0..=self.definitions.len() {
            let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
            match name.and_then(|name| self.definitions.get(name)) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn kind_fits(&self, schema: &Value, node: &mut Node) -> bool {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return schema != &Value::Bool(false),
        };
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        let fits = kinds.iter().any(|kind| match (*kind, &node.data) {
            ("object", Data::Map(_)) | ("array", Data::List(_)) => true,
            ("string", Data::Scalar(Value::String(text), _)) => text_fits(format, text),
            ("integer", Data::Scalar(Value::Number(number), _)) => number.is_i64() || number.is_u64(),
            ("number", Data::Scalar(Value::Number(_), _))
            | ("boolean", Data::Scalar(Value::Bool(_), _))
            | ("null", Data::Scalar(Value::Null, _)) => true,
            _ => false,
        });
        if !fits
            && kinds.contains(&"string")
            && let Data::Scalar(value @ (Value::Number(_) | Value::Bool(_)), raw) = &mut node.data
            && let Some(text) = raw.take_if(|text| text_fits(format, text))
        {
            *value = Value::String(text);
            return true;
        }
        fits
    }

    fn describe(&self, schema: &Value) -> String {
        if let Some(format) = schema.get("format").and_then(Value::as_str).filter(|format| format.contains(' ')) {
            return format.to_owned();
        }
        if let Some(word) = schema.get("const") {
            return format!("`{}`", word.as_str().unwrap_or_default());
        }
        let name = |kind: &str| match kind {
            "object" => "keys and values",
            "array" => "a list",
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            _ => "nothing",
        };
        match schema.get("type") {
            Some(Value::String(kind)) => name(kind).to_owned(),
            Some(Value::Array(kinds)) => kinds
                .iter()
                .filter_map(Value::as_str)
                .filter(|kind| *kind != "null")
                .map(name)
                .collect::<Vec<_>>()
                .join(" or "),
            _ => "something else".to_owned(),
        }
    }
}

enum Pick<'s> {
    Branch(&'s Value),
    UnknownWord { what: String, place: Place, word: String, names: Vec<String> },
    Undecided,
}

fn branches_of(schema: &Value) -> Option<&[Value]> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array).map(Vec::as_slice)
}

fn check_word(allowed: &[Value], node: &Node, key: &str, problems: &mut Vec<Problem>) {
    let Data::Scalar(value, _) = &node.data else {
        problems.push(node.problem(key, format!("expected a word, not {}", describe_data(&node.data))));
        return;
    };
    if !allowed.contains(value) {
        let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        problems.push(unknown(&node.place, key, "unknown value", &word, allowed.iter().filter_map(Value::as_str)));
    }
}

fn unknown<'n>(place: &Place, key: &str, what: &str, word: &str, known: impl Iterator<Item = &'n str>) -> Problem {
    let known: Vec<&str> = known.collect();
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(word, name), name)).min();
    let hint = match nearest {
        // Up to a third of the letters may differ: beyond that a suggestion misleads.
        Some((distance, name)) if distance <= 1 + word.chars().count() / 3 => format!("; did you mean `{name}`?"),
        _ if known.is_empty() => String::new(),
        _ => format!("; known here: {}", known.join(", ")),
    };
    Problem { place: place.clone(), key: key.to_owned(), message: format!("{what} `{word}`{hint}") }
}

fn bounds_problem(schema: &Value, value: &Value) -> Option<String> {
    let number = value.as_f64()?;
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    match (limit("minimum"), limit("maximum")) {
        (Some(least), _) if number < least => Some(format!("{value} is too small; the least is {least}")),
        (_, Some(most)) if number > most => Some(format!("{value} is too large; the most is {most}")),
        _ => None,
    }
}

fn describe_data(data: &Data) -> String {
    match data {
        Data::Scalar(Value::Null, _) => "nothing".to_owned(),
        Data::Scalar(value, _) => format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        Data::List(_) => "a list".to_owned(),
        Data::Map(_) => "keys and values".to_owned(),
    }
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}
