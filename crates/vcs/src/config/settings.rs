//! The one list of the agent's flags and variables: the command line, `--help` and `docs/VCS-AGENT.md` are made from it.
//!
//! Gives names for the readers in this module and texts for people. Never: a setting that is read and not listed here,
//! or listed and not read.

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A flag with a value, or a variable.
    Value,
    /// A flag alone, or `true` and `false`.
    Switch,
    /// A variable only: command lines are seen by everybody on a host.
    Variable,
    /// A family of variables that begin with this.
    Prefix,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The flag, without dashes; empty for none.
    pub flag: &'static str,
    /// The variable.
    pub name: &'static str,
    /// How it is given.
    pub kind: Kind,
    /// What holds when it is unset; empty for none.
    pub default: &'static str,
    /// What it does, and how its value is written.
    pub meaning: &'static str,
}

macro_rules! settings {
    ($($constant:ident = $flag:literal, $name:literal, $kind:ident, $default:literal, $meaning:literal;)*) => {
        $(pub(super) const $constant: Setting = Setting {
            flag: $flag, name: $name, kind: Kind::$kind, default: $default, meaning: $meaning,
        };)*

        /// Every setting of the agent.
        pub const SETTINGS: &[Setting] = &[$($constant),*];
    };
}

settings! {
    BASE = "target-base-endpoint", "SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT", Value, "",
        "Where the Git host is: scheme, host, and port and path if there are any, such as `https://git.example.com`. A host below a sub-path has it here. Required.";
    TOKEN = "token", "SPACELIFT_VCS_AGENT_POOL_TOKEN", Value, "",
        "The pool's token. Required. A variable is better than the flag, which everybody on the host can see.";
    VENDOR = "vendor", "SPACELIFT_VCS_AGENT_VENDOR", Value, "",
        "What the Git host is: `azure_devops`, `bitbucket_datacenter`, `github_enterprise` or `gitlab`. Required.";
    ALLOWED = "allowed-projects", "SPACELIFT_VCS_AGENT_ALLOWED_PROJECTS", Value, ".*",
        "Regular expression for the names of projects that may be asked for. It has to match whole names; upper and lower case are the same.";
    PARALLELISM = "parallelism", "SPACELIFT_VCS_AGENT_PARALLELISM", Value, "4",
        "Number of streams, from 1 to 256. Each handles one request at a time.";
    BLOCKLIST = "blocklist-path", "SPACELIFT_VCS_AGENT_BLOCKLIST_PATH", Value, "",
        "YAML file with rules that block requests besides what the routes keep out.";
    USE_ALLOWLIST = "use-allowlist", "SPACELIFT_VCS_AGENT_USE_ALLOWLIST", Switch, "true",
        "Accepted for others' sake: the routes below always hold, and nothing switches them off.";
    CA_CERT = "ca-cert", "SPACELIFT_VCS_AGENT_CA_CERT", Value, "",
        "Base64 of a PEM bundle of CAs, trusted besides the host's own, for the Git host and the gateway.";
    ADDED_ROOTS = "", "ADDITIONAL_ROOT_CAS", Variable, "",
        "CAs as the launcher takes them (`gantry ca bundle` writes the value), trusted besides the host's own.";
    CA_FILES = "", "GANTRY_CA_FILES", Variable, "",
        "Comma list of files with such CAs, PEM or DER.";
    HTTPS_PROXY = "", "HTTPS_PROXY", Variable, "",
        "Proxy of requests over TLS (also `https_proxy`; else `ALL_PROXY`): to the gateway by CONNECT, whether or not that is spoken to with TLS, and to an `https` Git host. See [PROXIES.md](PROXIES.md).";
    HTTP_PROXY = "", "HTTP_PROXY", Variable, "",
        "Proxy of requests to an `http` Git host (also `http_proxy`; else `ALL_PROXY`).";
    NO_PROXY = "", "NO_PROXY", Variable, "",
        "Comma list of what is reached without a proxy (also `no_proxy`): hosts and domains, addresses, address ranges, each also with a port.";
    DIAL_INSECURE = "dial-insecure", "SPACELIFT_VCS_AGENT_DIAL_INSECURE", Switch, "false",
        "Speak clear text to the gateway. The pool's key is then seen by everybody on the way.";
    IDENTITY = "http-disable-response-compression", "SPACELIFT_VCS_AGENT_HTTP_DISABLE_RESPONSE_COMPRESSION", Switch, "false",
        "Tell the Git host not to compress its answers.";
    DUMP = "debug-print-all", "SPACELIFT_VCS_AGENT_DEBUG_PRINT_ALL", Switch, "false",
        "Print each request and response with its headers; credentials are blanked out.";
    BUGSNAG_KEY = "bugsnag-api-key", "SPACELIFT_VCS_AGENT_BUGSNAG_API_KEY", Value, "",
        "Accepted and unused: this agent reports nothing to third parties.";
    BUGSNAG_DISABLE = "disable-bugsnag", "SPACELIFT_VCS_AGENT_BUGSNAG_DISABLE", Switch, "false",
        "Accepted; there is nothing to switch off.";
    METADATA = "", "SPACELIFT_METADATA_", Prefix, "",
        "`SPACELIFT_METADATA_<name>=value` shows the tag `<name>` with this agent's connections.";
    CREDENTIAL = "", "GANTRY_VCS_AGENT_CREDENTIAL", Variable, "",
        "A credential that this agent shows the Git host instead of what the gateway sends: `bearer:TOKEN`, `private-token:TOKEN` or `basic:USER:PASSWORD`. The server then needs none.";
    CREDENTIAL_FILE = "credential-file", "GANTRY_VCS_AGENT_CREDENTIAL_FILE", Value, "",
        "The same from a file, which is read again when it changes.";
    SHORT = "request-timeout", "GANTRY_VCS_AGENT_REQUEST_TIMEOUT", Value, "25s",
        "Longest exchange with the Git host, except for archives and clones.";
    BULK = "bulk-timeout", "GANTRY_VCS_AGENT_BULK_TIMEOUT", Value, "1h",
        "Longest archive or clone.";
    IDLE = "idle-timeout", "GANTRY_VCS_AGENT_IDLE_TIMEOUT", Value, "60s",
        "Longest silence of the Git host within an archive or clone.";
    DRAIN = "drain-timeout", "GANTRY_VCS_AGENT_DRAIN_TIMEOUT", Value, "60s",
        "How long stopping waits for requests in flight. A second signal does not wait.";
    BODY_LIMIT = "body-limit", "GANTRY_VCS_AGENT_BODY_LIMIT", Value, "4000000",
        "Largest answer, in bytes, for a gateway that takes no answers in parts. Gantry's takes them, and has no such limit.";
    HEALTH = "health-addr", "GANTRY_VCS_AGENT_HEALTH_ADDR", Value, "",
        "Address such as `127.0.0.1:9090` that serves `/healthz`, `/readyz` and `/metrics`.";
    LOG = "log", "GANTRY_LOG", Value, "info",
        "Which log lines to write: `info`, `debug`, or directives such as `gantry_vcs_agent=debug`.";
}

/// The table of `docs/VCS-AGENT.md`.
#[must_use]
pub fn page() -> String {
    let mut page = "| flag | variable | default | meaning |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let flag = match setting.flag {
            "" => "–".to_owned(),
            flag => format!("`--{flag}`"),
        };
        let suffix = if setting.kind == Kind::Prefix {
            "<name>"
        } else {
            ""
        };
        let default = match setting.default {
            "" => "–".to_owned(),
            default => format!("`{default}`"),
        };
        page += &format!(
            "| {flag} | `{}{suffix}` | {default} | {} |\n",
            setting.name, setting.meaning
        );
    }
    page
}
