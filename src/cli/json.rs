//! JSON as the API gave it: laid out on a terminal, untouched elsewhere.
//!
//! The text is laid out without parsing it into values, which would sort its fields and change its numbers. Must not
//! be given anything but valid JSON.

use crate::cli::failure::Failure;
use crate::cli::out::Out;

/// Prints JSON: laid out when people look at it.
///
/// # Errors
/// Stdout cannot be written.
pub fn print(json: &str, out: &Out) -> Result<(), Failure> {
    if out.is_terminal {
        out.print(&lay_out(json))
    } else {
        out.print(json.trim_end())
    }
}

/// Puts each field and item on its own line, indented by two.
pub fn lay_out(json: &str) -> String {
    let mut text = String::new();
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    let mut is_string = false;
    let mut is_escaped = false;
    while let Some(c) = chars.next() {
        if is_string {
            text.push(c);
            is_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                text.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth = depth.saturating_add(1);
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                break_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            '"' => {
                text.push(c);
                is_string = true;
            }
            _ if c.is_ascii_whitespace() => {}
            _ => text.push(c),
        }
    }
    text
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_strings_their_content() {
        let json =
            r#"{"z": 1.10, "a":[],"s":"x, {\"y\": [1]} \\","l":[ true,{"k":null} ],"e":{ }}"#;
        let text = r#"{
  "z": 1.10,
  "a": [],
  "s": "x, {\"y\": [1]} \\",
  "l": [
    true,
    {
      "k": null
    }
  ],
  "e": {}
}"#;
        assert_eq!(lay_out(json), text);
    }
}
