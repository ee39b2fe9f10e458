//! Patterns of Java's `DateTimeFormatter`, as far as they make sense for instants, as lists of pieces.

/// Optional parts in optional parts: reading tries both ways at each.
const OPTIONAL_DEPTH_MAX: usize = 4;

/// What a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Every part must tell something of the instant that is read.
    Both,
    /// Parts that tell nothing may stand there too.
    Writing,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(char),
    /// At least so many digits; two take the years from 2000.
    Year(usize),
    Month(usize),
    /// The month's name: three letters, or all.
    MonthName(bool),
    Day(usize),
    DayOfYear(usize),
    /// The day's name, which tells nothing that the date does not.
    DayName(bool),
    Hour(usize),
    /// One to twelve.
    HalfHour(usize),
    Noon,
    Minute(usize),
    Second(usize),
    Fraction(usize),
    /// `+01:00`, or `+0100`; `Z` for none where the flag says so.
    Offset {
        colon: bool,
        zulu: bool,
    },
    /// A name of a time zone.
    Zone,
    Optional(Vec<Piece>),
    /// The year that the week belongs to; for writing only, as are those below.
    WeekYear(usize),
    Week(usize),
    /// Monday is 1.
    WeekDay,
    Quarter,
}

/// Reads a pattern; the error says in words what is wrong with it.
pub(super) fn compile(pattern: &str, purpose: Purpose) -> Result<Vec<Piece>, String> {
    let mut compiler = Compiler { letters: pattern.chars().peekable(), purpose };
    let pieces = compiler.pieces(0)?;
    if compiler.letters.next().is_some() {
        return Err("an optional part ends that has not begun".to_owned());
    }
    if pieces.is_empty() {
        return Err("it is empty".to_owned());
    }
    if pieces.iter().all(|piece| matches!(piece, Piece::Literal(_))) {
        return Err("it names no part of a date".to_owned());
    }
    Ok(pieces)
}

struct Compiler<'p> {
    letters: std::iter::Peekable<std::str::Chars<'p>>,
    purpose: Purpose,
}

impl Compiler<'_> {
    /// Reads up to the end of the pattern, or that of the optional part that it is in.
    fn pieces(&mut self, depth: usize) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        while let Some(letter) = self.letters.next_if(|letter| *letter != ']' || depth > 0) {
            match letter {
                ']' => return Ok(pieces),
                '[' if depth >= OPTIONAL_DEPTH_MAX => return Err("optional parts are nested too deep".to_owned()),
                '[' => pieces.push(Piece::Optional(self.pieces(depth + 1)?)),
                '\'' => self.quoted(&mut pieces)?,
                'a'..='z' | 'A'..='Z' => {
                    let mut width = 1;
                    while self.letters.next_if_eq(&letter).is_some() {
                        width += 1;
                    }
                    pieces.push(self.piece(letter, width)?);
                }
                other => pieces.push(Piece::Literal(other)),
            }
        }
        if depth > 0 { Err("an optional part does not end".to_owned()) } else { Ok(pieces) }
    }

    /// What stands between quotes stands for itself; two quotes are one.
    fn quoted(&mut self, pieces: &mut Vec<Piece>) -> Result<(), String> {
        if self.letters.next_if_eq(&'\'').is_some() {
            pieces.push(Piece::Literal('\''));
            return Ok(());
        }
        while let Some(letter) = self.letters.next() {
            if letter == '\'' && self.letters.next_if_eq(&'\'').is_none() {
                return Ok(());
            }
            pieces.push(Piece::Literal(letter));
        }
        Err("a quote does not end".to_owned())
    }

    fn piece(&self, letter: char, width: usize) -> Result<Piece, String> {
        Ok(match (letter, width) {
            ('y' | 'u', 1..=4) => Piece::Year(width),
            ('M' | 'L', 1..=2) => Piece::Month(width),
            ('M' | 'L', 3..=4) => Piece::MonthName(width == 4),
            ('d', 1..=2) => Piece::Day(width),
            ('D', 1..=3) => Piece::DayOfYear(width),
            ('E', 1..=4) => Piece::DayName(width == 4),
            ('H', 1..=2) => Piece::Hour(width),
            ('h', 1..=2) => Piece::HalfHour(width),
            ('a', 1) => Piece::Noon,
            ('m', 1..=2) => Piece::Minute(width),
            ('s', 1..=2) => Piece::Second(width),
            ('S', 1..=9) => Piece::Fraction(width),
            ('X', 1..=2) => Piece::Offset { colon: false, zulu: true },
            ('X', 3) => Piece::Offset { colon: true, zulu: true },
            ('x', 1..=2) | ('Z', 1..=3) => Piece::Offset { colon: false, zulu: false },
            ('x', 3) | ('Z', 5) => Piece::Offset { colon: true, zulu: letter == 'Z' },
            ('z', 1..=4) | ('V', 2) => Piece::Zone,
            ('Y', 1..=4) if self.purpose == Purpose::Writing => Piece::WeekYear(width),
            ('w', 1..=2) if self.purpose == Purpose::Writing => Piece::Week(width),
            ('e', 1) if self.purpose == Purpose::Writing => Piece::WeekDay,
            ('Q', 1) if self.purpose == Purpose::Writing => Piece::Quarter,
            _ => return Err(format!("[{}] is not supported in a pattern", letter.to_string().repeat(width))),
        })
    }
}
