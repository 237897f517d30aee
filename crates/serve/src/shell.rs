//! Splits the command of `sh -c` into words: one simple command, settings before it, `cd DIR &&` and
//! `exec` allowed. It must not guess: anything more is an error that names the operator.

use std::ffi::OsString;

/// One simple command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// Folder of a leading `cd DIR &&`.
    pub folder: Option<String>,
    /// Leading `NAME=value` words.
    pub settings: Vec<(String, String)>,
    pub words: Vec<OsString>,
}

/// A command that needs a real shell.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShellError {
    #[error(
        "`{0}` needs a shell, which this image does not have; give one simple command (leading NAME=value, `cd \
         DIR &&` and `exec` are allowed), or use a runtime image with a shell"
    )]
    Operator(String),
    #[error("the quote {0} is not closed")]
    Quote(char),
    #[error("there is no command")]
    Empty,
}

/// A word, and whether an unquoted `=` may make it a setting.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    And,
}

/// Reads a command; `$NAME` and `${NAME}` are replaced from the environment as a shell does.
pub fn parse(text: &str) -> Result<Command, ShellError> {
    parse_with(text, |name| std::env::var(name).unwrap_or_default())
}

fn parse_with(text: &str, variable: impl Fn(&str) -> String) -> Result<Command, ShellError> {
    let mut tokens = tokens(text.trim().trim_end_matches(';'), &variable)?;
    let mut command = Command::default();
    if let [Token::Word(cd), Token::Word(folder), Token::And, ..] = tokens.as_slice()
        && cd == "cd"
    {
        command.folder = Some(folder.clone());
        tokens.drain(..3);
    }
    for token in tokens {
        let Token::Word(word) = token else { return Err(ShellError::Operator("&&".to_owned())) };
        let before_command = command.words.is_empty();
        match word.split_once('=') {
            Some((name, value)) if before_command && is_name(name) => {
                command.settings.push((name.to_owned(), value.to_owned()));
            }
            _ if before_command && word == "exec" => {}
            _ => command.words.push(word.into()),
        }
    }
    if command.words.is_empty() { Err(ShellError::Empty) } else { Ok(command) }
}

fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn tokens(text: &str, variable: &impl Fn(&str) -> String) -> Result<Vec<Token>, ShellError> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut input = text.chars().peekable();
    while let Some(c) = input.next() {
        match c {
            ' ' | '\t' | '\n' => {
                let multiline = c == '\n' && (word.is_some() || !tokens.is_empty());
                if multiline && input.clone().any(|c| !c.is_whitespace()) {
                    return Err(ShellError::Operator("a second line".to_owned()));
                }
                tokens.extend(word.take().map(Token::Word));
            }
            '\\' => match input.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match input.next() {
                        Some('\'') => break,
                        Some(next) => word.push(next),
                        None => return Err(ShellError::Quote('\'')),
                    }
                }
            }
            '"' => double_quoted(word.get_or_insert_default(), &mut input, variable)?,
            '$' => expand(word.get_or_insert_default(), &mut input, variable)?,
            '&' if input.peek() == Some(&'&') => {
                input.next();
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::And);
            }
            '&' | '|' | ';' | '<' | '>' | '(' | ')' | '`' | '*' | '?' | '~' | '!'
                if operates(c, word.as_deref()) =>
            {
                return Err(ShellError::Operator(c.to_string()));
            }
            '#' if word.is_none() => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    Ok(tokens)
}

/// `~` and `!` mean something only at the start of a word.
fn operates(c: char, word: Option<&str>) -> bool {
    !matches!(c, '~' | '!') || word.is_none()
}

type Input<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn double_quoted(
    word: &mut String,
    input: &mut Input<'_>,
    variable: &impl Fn(&str) -> String,
) -> Result<(), ShellError> {
    loop {
        match input.next() {
            Some('"') => return Ok(()),
            Some('\\') => match input.next() {
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some('\n') => {}
                Some(next) => word.extend(['\\', next]),
                None => return Err(ShellError::Quote('"')),
            },
            Some('$') => expand(word, input, variable)?,
            Some('`') => return Err(ShellError::Operator("`".to_owned())),
            Some(next) => word.push(next),
            None => return Err(ShellError::Quote('"')),
        }
    }
}

/// `$NAME` and `${NAME}`; every other form needs a shell.
fn expand(
    word: &mut String,
    input: &mut Input<'_>,
    variable: &impl Fn(&str) -> String,
) -> Result<(), ShellError> {
    let braced = input.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = input.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    let closed = !braced || input.next_if_eq(&'}').is_some();
    if !closed || !is_name(&name) {
        let rest: String = input.take(1).collect();
        return Err(ShellError::Operator(format!("${}{name}{rest}", if braced { "{" } else { "" })));
    }
    word.push_str(&variable(&name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Command, ShellError> {
        parse_with(text, |name| if name == "MODEL" { "Org/M".to_owned() } else { String::new() })
    }

    fn words(text: &str) -> Vec<String> {
        parsed(text).unwrap().words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(words("python3 -m  dynamo.mocker"), ["python3", "-m", "dynamo.mocker"]);
        assert_eq!(words(r#"a 'b  c' "d \"e\"" f\ g ''"#), ["a", "b  c", r#"d "e""#, "f g", ""]);
        assert_eq!(words("a \\\n  b;"), ["a", "b"]);
        assert_eq!(words("a $MODEL \"${MODEL}x\" '$MODEL' # comment"), ["a", "Org/M", "Org/Mx", "$MODEL"]);
    }

    #[test]
    fn settings_folder_and_exec_before_the_command_are_understood() {
        let command = parsed("cd /srv && A=1 B='x y' exec python3 -m dynamo.mocker --k=v").unwrap();
        assert_eq!(command.folder.as_deref(), Some("/srv"));
        assert_eq!(command.settings, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x y".to_owned())]);
        assert_eq!(command.words.len(), 4);
    }

    #[test]
    fn what_needs_a_shell_is_refused_with_the_operator() {
        for (text, operator) in [
            ("a | b", "|"),
            ("a; b", ";"),
            ("a && b", "&&"),
            ("a &", "&"),
            ("a > f", ">"),
            ("a $(b)", "$"),
            ("a `b`", "`"),
            ("a *", "*"),
            ("a\nb", "second line"),
            ("a ${B:-c}", "${B:"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(operator), "{text}: {error}");
        }
        assert_eq!(parsed("a 'b"), Err(ShellError::Quote('\'')));
        assert_eq!(parsed(" A=1 "), Err(ShellError::Empty));
    }
}
