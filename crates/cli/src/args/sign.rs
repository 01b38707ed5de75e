//! The words after `gantry key` and `gantry sign`, and those with which other commands sign.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a key that signs runs: the private half into a file, the public half (JWK) printed
    Generate {
        /// How it signs
        #[arg(long, value_enum, default_value_t = AlgorithmArg::Eddsa)]
        algorithm: AlgorithmArg,
        /// Where the private key goes (PKCS#8 PEM, mode 0600, a new file)
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Prints the public keys of files as a JWK set, as launchers read it (GANTRY_RUN_TRUST_JWKS)
    Jwks {
        /// Private keys (PEM), public keys (PEM), or JWKs
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmArg {
    /// Ed25519
    Eddsa,
    /// ECDSA on P-256
    Es256,
    /// RSA of 3072 bits
    Ps256,
}

/// Who signs, for how long, for whom.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Signing")]
pub struct SignerArgs {
    /// Sign with the private key in this file (PKCS#8 PEM) [env: GANTRY_SIGN_KEY holds the key itself]
    #[arg(
        long = "sign-key",
        alias = "key",
        value_name = "FILE",
        conflicts_with = "command_line"
    )]
    pub key: Option<PathBuf>,
    /// Sign with a shell command: it reads what is to be signed and prints the signature in base64
    #[arg(
        id = "command_line",
        long = "sign-command",
        value_name = "COMMAND",
        env = "GANTRY_SIGN_COMMAND"
    )]
    pub command: Option<String>,
    /// The public key of --sign-command (JWK or PEM)
    #[arg(
        long = "sign-public-key",
        value_name = "FILE",
        env = "GANTRY_SIGN_PUBLIC_KEY"
    )]
    pub public: Option<PathBuf>,
    /// How the launchers' JWK set calls the key; its thumbprint, or the JWK's own name, otherwise
    #[arg(long = "sign-key-id", value_name = "KID")]
    pub kid: Option<String>,
    /// How long the signature holds, such as 30m or 8h; a day at most
    #[arg(long = "sign-expires", alias = "expires", value_name = "TIME", default_value = "1h", value_parser = life)]
    pub expires: Option<Life>,
    /// Make it out to one launcher's id or name, so that no other takes it
    #[arg(long = "sign-audience", alias = "audience", value_name = "NAME")]
    pub audience: Option<String>,
    /// Of a stack with autodeploy: accept whatever is planned at that commit
    #[arg(long)]
    pub accept_any_plan: bool,
    /// Certificate of the pool (PEM): the plan to be confirmed has to be attested by the pool's own key
    #[arg(long, value_name = "FILE")]
    pub pool_certificate: Option<PathBuf>,
    /// Show the whole document, also where one of the stack was signed before
    #[arg(long)]
    pub whole: bool,
    /// Sign without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// How long a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(pub Duration);

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what"))]
pub struct SignArgs {
    /// The stack's id
    #[arg(long, value_name = "ID")]
    pub stack: String,
    /// Commit to sign for; the branch's newest otherwise
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["task", "run"])]
    pub commit: Option<String>,
    /// Sign for a preview, which never applies
    #[arg(long, group = "what")]
    pub preview: bool,
    /// Sign for this command as a task
    #[arg(long, value_name = "COMMAND", group = "what")]
    pub task: Option<String>,
    /// Sign for the confirm of this run's plan
    #[arg(long, value_name = "ID", group = "what")]
    pub run: Option<String>,
    /// With --run: sign for its plan of only these addresses, separated by commas, instead
    #[arg(long, value_name = "ADDRESS", requires = "run", value_delimiter = ',')]
    pub replan: Vec<String>,
    /// Sign for another run like this one, which ended without success
    #[arg(long, value_name = "ID", group = "what", conflicts_with = "commit")]
    pub retry: Option<String>,
    /// Task only: leave out the tool's init
    #[arg(long, requires = "task")]
    pub no_init: bool,
    /// Who will trigger the run, as the server names them; you otherwise
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub triggered_by: Option<String>,
    #[command(flatten)]
    pub signer: SignerArgs,
}

fn life(text: &str) -> Result<Life, String> {
    let rule = "expected a number and `s`, `m` or `h`, such as 30m";
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let found = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (number, unit): (&str, u64) = found.ok_or(rule)?;
    let number: u64 = number.parse().map_err(|_| rule.to_owned())?;
    let seconds = number.saturating_mul(unit);
    let longest = gantry_protocol::signature::LONGEST_LIFE.unsigned_abs();
    match seconds {
        1.. if seconds <= longest => Ok(Life(Duration::from_secs(seconds))),
        _ => Err("a signature holds between a second and a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_at_most_a_day() {
        for (text, seconds) in [("1s", 1), ("30m", 1800), ("24h", 86_400)] {
            assert_eq!(life(text), Ok(Life(Duration::from_secs(seconds))));
        }
        for bad in [
            "",
            "h",
            "0s",
            "25h",
            "1d",
            "1.5h",
            "-1h",
            "99999999999999999999h",
            "1é",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
