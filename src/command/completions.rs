//! `logmill completions`: words of the command line, completed in the shell.
//!
//! The scripts are a few lines that ask the program itself, so what they propose is what it knows.

use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::{Cli, Completions, Shell};

const BASH: &str = r#"_logmill() {
  local IFS=$'\n'
  COMPREPLY=($(logmill completions bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _logmill logmill
"#;
const ZSH: &str = r#"#compdef logmill
_logmill() {
  local -a found
  found=("${(@f)$(logmill completions zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _logmill logmill
"#;
const FISH: &str = r"function __logmill
  set -l words (commandline -opc) (commandline -ct)
  logmill completions fish -- $words[2..-1] 2>/dev/null
end
complete -c logmill -a '(__logmill)'
";

/// Prints the script, or what the last of the words may become.
#[allow(clippy::print_stdout)]
pub(crate) fn run(asked: &Completions) -> ExitCode {
    match (&asked.words, asked.shell) {
        (Some(words), _) => {
            for candidate in candidates(&mut Cli::command(), words) {
                println!("{candidate}");
            }
        }
        (None, Shell::Bash) => print!("{BASH}"),
        (None, Shell::Zsh) => print!("{ZSH}"),
        (None, Shell::Fish) => print!("{FISH}"),
    }
    ExitCode::SUCCESS
}

/// What the last word may become; nothing where a name or a file is expected.
fn candidates(program: &mut Command, words: &[String]) -> Vec<String> {
    // Lets commands below know the options that hold everywhere.
    program.build();
    let (last, before) = words.split_last().map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
    let mut command = &*program;
    let mut expected: Option<&Arg> = None;
    let mut positional = 0;
    for word in before {
        if expected.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            expected = option(command, word).filter(|_| !word.contains('='));
        } else if let Some(below) = command.find_subcommand(word) {
            (command, positional) = (below, 0);
        } else {
            positional += 1;
        }
    }
    let proposed: Vec<String> = if let Some(expected) = expected {
        values(expected)
    } else if last.starts_with('-') {
        let visible = command.get_opts().chain(command.get_arguments().filter(|arg| !arg.is_positional()));
        visible.filter(|arg| !arg.is_hide_set()).filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect()
    } else if command.has_subcommands() {
        let visible = command.get_subcommands().filter(|below| !below.is_hide_set());
        visible.map(|below| below.get_name().to_owned()).collect()
    } else {
        command.get_positionals().nth(positional).map(values).unwrap_or_default()
    };
    let mut proposed: Vec<_> = proposed.into_iter().filter(|word| word.starts_with(last)).collect();
    proposed.sort();
    proposed.dedup();
    proposed
}

/// The option of this word, when a value follows it.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let named = |arg: &&Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => {
            word.strip_prefix('-').is_some_and(|short| arg.get_short().is_some_and(|known| short == known.to_string()))
        }
    };
    command.get_opts().find(named)
}

/// The values of an argument that has a closed set of them.
fn values(arg: &Arg) -> Vec<String> {
    let possible = arg.get_possible_values();
    possible.into_iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        candidates(&mut Cli::command(), &words)
    }

    #[test]
    fn commands_and_those_below_them() {
        assert_eq!(of("top"), ["topics"]);
        assert_eq!(of("topics de"), ["delete", "delete-records", "describe"]);
        assert_eq!(of("-c groups del"), Vec::<String>::new());
        assert_eq!(of("--data /tmp/x groups del"), ["delete", "delete-offsets"]);
        assert!(of("").contains(&"up".to_owned()) && !of("").contains(&"reference".to_owned()));
    }

    #[test]
    fn options_with_those_that_hold_everywhere() {
        assert_eq!(of("topics read orders --f"), ["--follow", "--from"]);
        assert_eq!(of("topics list --b"), ["--brokers"]);
        assert!(of("groups reset g --").contains(&"--execute".to_owned()));
        assert!(of("groups reset g --").contains(&"--config".to_owned()));
    }

    #[test]
    fn closed_sets_of_values_and_nothing_where_a_name_stands() {
        assert_eq!(of("completions "), ["bash", "fish", "zsh"]);
        assert_eq!(of("completions z"), ["zsh"]);
        assert_eq!(of("topics describe "), Vec::<String>::new());
        assert_eq!(of("topics list --brokers "), Vec::<String>::new());
    }
}
