//! `iscsictl completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Context;
use crate::failure::Failure;

/// Print completions for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  iscsictl completions bash > /etc/bash_completion.d/iscsictl
  iscsictl completions zsh > ~/.zfunc/_iscsictl
  iscsictl completions fish > ~/.config/fish/completions/iscsictl.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::args::Args::command(), "iscsictl", &mut script);
    context.out.bytes(&script)
}
