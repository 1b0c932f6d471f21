//! `watchbell completions` and `watchbell man`: made from the same definition as `--help`.
//!
//! Must not hold text of its own that `--help` does not have.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::failure::{Exit, Failure};
use crate::cli::out::Out;

/// The examples of `completions --help`.
pub const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  watchbell completions bash > /etc/bash_completion.d/watchbell
  watchbell completions zsh > \"${fpath[1]}/_watchbell\"
  watchbell completions fish > ~/.config/fish/completions/watchbell.fish";

/// The examples of `man --help`.
pub const MAN_EXAMPLES: &str = "\
Examples:
  watchbell man | man -l -
  watchbell man --dir /usr/local/share/man/man1";

/// Options of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Options of `man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Write one page for each command into this folder, instead of one page for all to stdout
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints a completion script.
///
/// # Errors
/// Stdout cannot be written.
pub fn completions(
    args: &CompletionsArgs,
    mut command: Command,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "watchbell", &mut script);
    out.write(&script)?;
    Ok(Exit::Done)
}

/// Prints one page for all commands, or writes one for each.
///
/// # Errors
/// The folder or stdout cannot be written.
pub fn man(args: &ManArgs, mut command: Command, out: &Out) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| {
        Failure::unreachable(format!("the man page cannot be written: {error}"))
    };
    if let Some(dir) = &args.dir {
        fs::create_dir_all(dir).map_err(failed)?;
        clap_mangen::generate_to(command, dir).map_err(failed)?;
        return Ok(Exit::Done);
    }
    command.build();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page).map_err(failed)?;
    man.render_name_section(&mut page).map_err(failed)?;
    man.render_synopsis_section(&mut page).map_err(failed)?;
    man.render_description_section(&mut page).map_err(failed)?;
    man.render_options_section(&mut page).map_err(failed)?;
    man.render_extra_section(&mut page).map_err(failed)?;
    for subcommand in shown(&command) {
        chapter(subcommand, &mut page).map_err(failed)?;
    }
    man.render_version_section(&mut page).map_err(failed)?;
    out.write(&page)?;
    Ok(Exit::Done)
}

/// A command and those below it, as a chapter of the one page.
fn chapter(command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let man = Man::new(command.clone());
    let name = command
        .get_bin_name()
        .unwrap_or(command.get_name())
        .to_uppercase();
    page.extend_from_slice(format!(".SH \"{name}\"\n").as_bytes());
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    man.render_extra_section(&mut sections)?;
    // Sections of a command are one level below its chapter.
    let sections = String::from_utf8_lossy(&sections).replace("\n.SH ", "\n.SS ");
    let sections = match sections.strip_prefix(".SH ") {
        Some(rest) => format!(".SS {rest}"),
        None => sections,
    };
    page.extend_from_slice(sections.as_bytes());
    shown(command).try_for_each(|subcommand| chapter(subcommand, page))
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
}
