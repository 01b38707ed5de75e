//! The one table of what our components contact, and why.
//!
//! Gives an enum for each component, whose cases carry their row. Never: a case without a row, or a text that only a
//! document has: `docs/NETWORK.md` is made from this.

use super::{Protocol, Who};

/// What is said about a purpose.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// A word for machines.
    pub name: &'static str,
    /// Who dials.
    pub who: Who,
    /// Where, in words.
    pub to: &'static str,
    /// The usual ports.
    pub ports: &'static str,
    /// What is usually spoken.
    pub protocol: Protocol,
    /// The setting that names the place, or switches it on.
    pub setting: &'static str,
    /// What for.
    pub meaning: &'static str,
}

macro_rules! components {
    ($($component:ident, $purpose:ident, $program:literal, $about:literal {
        $($case:ident = $name:literal, $who:ident, $to:literal, $ports:literal, $protocol:ident, $setting:literal, $meaning:literal;)*
    })*) => {
        /// A program of ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Component {
            $(#[doc = $about] $component,)*
        }

        $(
            #[doc = concat!("What ", $about, " contacts.")]
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $purpose {
                $(#[doc = $meaning] $case,)*
            }

            impl $purpose {
                /// All, in the order of the table.
                pub const ALL: &[Self] = &[$(Self::$case),*];

                const fn row(self) -> &'static Row {
                    match self {
                        $(Self::$case => &Row {
                            name: $name, who: Who::$who, to: $to, ports: $ports,
                            protocol: Protocol::$protocol, setting: $setting, meaning: $meaning,
                        },)*
                    }
                }
            }

            impl From<$purpose> for Purpose {
                fn from(purpose: $purpose) -> Self {
                    Self::$component(purpose)
                }
            }
        )*

        /// Why something is contacted. Whoever makes a client has to name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Purpose {
            $(#[doc = $about] $component($purpose),)*
        }

        impl Purpose {
            /// What is said about it.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$component(purpose) => purpose.row(),)*
                }
            }
        }

        impl Component {
            /// All.
            pub const ALL: &[Self] = &[$(Self::$component),*];

            /// The executable's name.
            pub const fn program(self) -> &'static str {
                match self {
                    $(Self::$component => $program,)*
                }
            }

            /// What it contacts, in the order of the table.
            pub fn purposes(self) -> Vec<Purpose> {
                match self {
                    $(Self::$component => $purpose::ALL.iter().copied().map(Purpose::from).collect(),)*
                }
            }
        }
    };
}

components! {
    Launcher, LauncherPurpose, "gantry-launcher", "the launcher" {
        Server = "server", Itself, "the server that the pool token names", "443", Https, "SPACELIFT_TOKEN",
            "Enrolment, runs, logs, workspaces, managed state, the worker executable.";
        NameServers = "name_servers", Itself, "the name servers of the host", "53", Dns, "/etc/resolv.conf",
            "Addresses of all names below that no proxy looks up.";
        Engine = "engine", Itself, "a Docker Engine that is not on this host", "2375", Http, "DOCKER_HOST",
            "Containers, where the engine is reached by TCP and not by its socket.";
        Registries = "registries", Dockerd, "the registries of `GANTRY_ALLOWED_REGISTRIES`, and where they keep layers", "443", Https, "GANTRY_ALLOWED_REGISTRIES",
            "Digests and layers of runner images. The engine has proxies and CAs of its own.";
        CredentialHelpers = "credential_helpers", Program, "what each `docker-credential-…` program contacts", "443", Any, "SPACELIFT_DOCKER_CONFIG_DIR",
            "Logins at registries, where the Docker configuration names helpers.";
        Ecr = "ecr", Itself, "`api.ecr.<region>.amazonaws.com` of the image's region, `api.ecr-public.us-east-1.amazonaws.com`", "443", Https, "GANTRY_ALLOWED_REGISTRIES",
            "Logins at Amazon ECR.";
        AwsRoles = "aws_roles", Itself, "`sts.<region>.amazonaws.com`", "443", Https, "AWS_WEB_IDENTITY_TOKEN_FILE",
            "Credentials of a role, from a web identity or a profile that assumes one.";
        TaskCredentials = "task_credentials", Itself, "the endpoint that ECS or EKS names, `169.254.170.2` for ECS", "80", Http, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "Credentials of a task's or pod's role. Never through a proxy.";
        InstanceCredentials = "instance_credentials", Itself, "the instance's metadata service, `169.254.169.254`", "80", Http, "GANTRY_ALLOWED_REGISTRIES",
            "Credentials of the instance's role, where nothing before them gave any. Never through a proxy.";
        SpotNotices = "spot_notices", Itself, "the instance's metadata service, `169.254.169.254`", "80", Http, "GANTRY_SPOT_NOTICE",
            "Whether this spot instance is to be interrupted. Never through a proxy.";
        Tools = "tools", Itself, "`releases.hashicorp.com`, `github.com` and where it keeps releases, or the mirror", "443", Https, "GANTRY_TOOL_KEYS",
            "Terraform and OpenTofu of the version that a stack asks for; off without keys that may sign them.";
        Traces = "traces", Itself, "the OpenTelemetry collector", "4318", Https, "OTEL_EXPORTER_OTLP_ENDPOINT",
            "Traces of runs.";
        Source = "source", Git, "the git host of each stack, or what a VCS mapping puts in its place", "443, 22", Https, "the stack's repository",
            "The commit of a run.";
        Policy = "policy", Program, "what programs that the host's policy starts with `exec` contact", "any", Any, "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY",
            "Answers that the initialization policy asks for.";
        Runs = "runs", Run, "providers, modules and clouds that a stack's code uses", "any", Any, "SPACELIFT_WORKER_NETWORK",
            "What the code of runs does; nothing of Gantry's own. `none` as network ends it.";
    }
    Server, ServerPurpose, "gantry-server", "the server" {
        NameServers = "name_servers", Itself, "the name servers of the host", "53", Dns, "/etc/resolv.conf",
            "Addresses of all names below.";
        CodeHosts = "code_hosts", Itself, "the API of each VCS integration", "443", Https, "a VCS integration",
            "Repositories, branches, commits, archives, statuses. Those behind an agent are asked through its connection.";
        Webhooks = "webhooks", Itself, "each webhook's URL", "443", Https, "a webhook",
            "Signed messages about runs.";
        Git = "git", Git, "the git host of each stack", "443, 22", Https, "a stack's repository",
            "Which commit a branch has (polling, checks when a stack is made).";
    }
    VcsAgent, VcsAgentPurpose, "gantry-vcs-agent", "the VCS agent" {
        Gateway = "gateway", Itself, "the VCS gateway that the pool token names", "443", Grpc, "SPACELIFT_VCS_AGENT_POOL_TOKEN",
            "Streams on which requests come and answers go.";
        NameServers = "name_servers", Itself, "the name servers of the host", "53", Dns, "/etc/resolv.conf",
            "Addresses of the two others.";
        GitHost = "git_host", Itself, "the Git host, and for GitHub Enterprise `codeload.` in front of it", "443", Https, "SPACELIFT_VCS_AGENT_TARGET_BASE_ENDPOINT",
            "Requests that the rules let through.";
    }
    Cli, CliPurpose, "gantry", "the command line" {
        Server = "server", Itself, "the server of the chosen profile", "443", Https, "SPACELIFT_API_KEY_ENDPOINT",
            "All commands.";
        NameServers = "name_servers", Itself, "the name servers of the host", "53", Dns, "/etc/resolv.conf",
            "The server's address.";
    }
}
