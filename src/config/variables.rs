//! The one list of the launcher's variables: `--help` and `docs/CONFIGURATION.md` are made from it.
//!
//! Gives names for the readers in this module and texts for people. Never: a variable that is read and not
//! listed here, or listed and not read.

/// What a variable is about; the sections of `docs/CONFIGURATION.md`, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Pool, identity, trust.
    Identity,
    /// Runner images and registries.
    Images,
    /// What a run's container is and may use.
    Containers,
    /// What of the host is handed to runs.
    HandedOver,
    /// Where code comes from.
    Source,
    /// Terraform, OpenTofu and their providers.
    Tools,
    /// Which runs are taken.
    Admission,
    /// Time-outs, output, logs.
    Runs,
    /// Room, clean-up, what the launcher shows of itself.
    Host,
}

impl Topic {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Images,
        Self::Containers,
        Self::HandedOver,
        Self::Source,
        Self::Tools,
        Self::Admission,
        Self::Runs,
        Self::Host,
    ];

    /// A heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Identity => "Pool and identity",
            Self::Images => "Images and registries",
            Self::Containers => "Containers",
            Self::HandedOver => "What of the host is handed to runs",
            Self::Source => "Source code",
            Self::Tools => "Tools and providers",
            Self::Admission => "Which runs are taken",
            Self::Runs => "Time-outs and output of runs",
            Self::Host => "The host",
        }
    }
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Where it is shown.
    pub topic: Topic,
    /// What holds when it is unset; empty for none.
    pub default: &'static str,
    /// What it does, and how its value is written.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal, $topic:ident, $default:literal, $meaning:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*

        /// Every variable that the launcher reads.
        pub const VARIABLES: &[Variable] = &[
            $(Variable { name: $name, topic: Topic::$topic, default: $default, meaning: $meaning },)*
        ];
    };
}

variables! {
    TOKEN = "SPACELIFT_TOKEN", Identity, "",
        "The pool token, as `gantry pool create` gave it. Required.";
    POOL_KEY = "SPACELIFT_POOL_PRIVATE_KEY", Identity, "",
        "The PEM private key (PKCS#8 or PKCS#1) whose CSR made the pool, in base64 or, from a file, as it is. Required.";
    METADATA = "SPACELIFT_METADATA_", Identity, "",
        "A prefix: `SPACELIFT_METADATA_<name>=value` shows the tag `<name>`, its case kept, with this launcher. Tags are this host's own claims; nothing verifies them.";
    DATA_DIR = "GANTRY_DATA_DIR", Identity, "/var/lib/gantry-launcher",
        "The launcher's own directory; one launcher each. With a remote engine it has to be at the same path there.";
    MACHINE_ID = "GANTRY_MACHINE_ID", Identity, "",
        "What stands for this machine where the launcher runs in a container that may move with its volume, such as `namespace/pod`; a launcher whose machine changes enrols afresh and discards its journal. When unset: machine id and product id.";
    TRUST_KEYS = "GANTRY_WORKER_TRUST_KEYS", Identity, "",
        "Comma list of Ed25519 public keys (base64url) that may sign the worker binary. Required.";
    RUN_TRUST = "GANTRY_RUN_TRUST_JWKS", Identity, "",
        "File with the JWK set of those who may sign runs: Ed25519, P-256, or RSA of at least 3072 bits, each with its `kid`. A signature that a run carries is then checked and, where it is not good, the run refused. See docs/POLICIES.md.";
    REQUIRE_SIGNATURE = "GANTRY_REQUIRE_SIGNATURE", Identity, "off",
        "Which runs need a signature: `off`; `apply-only` (confirmed applies, tasks, and plans that go on to their apply by themselves); `all`. Needs `GANTRY_RUN_TRUST_JWKS`.";
    SIGNATURE_AUDIENCE = "GANTRY_SIGNATURE_AUDIENCE", Identity, "",
        "The one name that signatures have to be made out to (`gantry sign --audience`). When unset, they may be made out to nobody in particular, to this launcher's id, or to its pool's.";
    ROOT_CAS = "ADDITIONAL_ROOT_CAS", Identity, "",
        "CAs to trust besides the bundled and the host's, for the server, git, AWS and downloads: base64 of `{\"caCertificates\":[\"<base64 of PEM>\",…]}`. Pulls are dockerd's, which has CAs of its own. See docs/PROXIES.md.";
    CA_FILES = "GANTRY_CA_FILES", Identity, "",
        "Comma list of files (absolute paths, PEM or DER) with such CAs.";
    PROXY_HTTPS = "HTTPS_PROXY", Identity, "",
        "Proxy of the launcher's own HTTPS requests, and of git's and credential helpers' (also `https_proxy`; else `ALL_PROXY`). Pulls are dockerd's, which has a proxy of its own. See docs/PROXIES.md.";
    PROXY_HTTP = "HTTP_PROXY", Identity, "",
        "Proxy of the launcher's own clear-text requests (also `http_proxy`; else `ALL_PROXY`).";
    PROXY_ALL = "ALL_PROXY", Identity, "",
        "Proxy where one of the two above is unset (also `all_proxy`).";
    PROXY_NONE = "NO_PROXY", Identity, "",
        "Comma list of what is reached without a proxy (also `no_proxy`): hosts and domains, addresses, address ranges, `*`; all but the last two also with a port. This host and link-local addresses never go through a proxy.";
    DOCKER_HOST = "DOCKER_HOST", Identity, "the local socket",
        "The Docker Engine to use.";

    DEFAULT_IMAGE = "SPACELIFT_DEFAULT_RUNNER_IMAGE", Images, "",
        "Runner image of stacks that name none; without it such runs are refused.";
    ANSIBLE_IMAGE = "SPACELIFT_DEFAULT_ANSIBLE_RUNNER_IMAGE", Images, "",
        "The same for Ansible. Checked, and without effect until there are Ansible runs.";
    REGISTRIES = "GANTRY_ALLOWED_REGISTRIES", Images, "the ten public registries of the documentation",
        "Comma list of registries and repositories that runner images may come from, such as `ghcr.io/acme`. Replaces the default; `+` as first entry extends it; `*` alone allows every image. Ports belong to the name. `*` also stands for one whole label of a host name, `dkr.ecr.<region>.amazonaws.com` for all private registries of Amazon ECR outside the isolated partitions.";
    DOCKER_CONFIG = "SPACELIFT_DOCKER_CONFIG_DIR", Images, "",
        "Directory of a Docker client's `config.json`, read again when it changes. `credHelpers` come before `credsStore`, and that before `auths` (with `identitytoken`); none is handed to a run. What it says comes before the host's AWS credentials for Amazon ECR.";
    PATH = "PATH", Images, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "Where `docker-credential-<name>` programs are found. They get this, `HOME` and the proxies, and nothing else of the launcher's environment.";
    HOME = "HOME", Images, "",
        "Below which credential helpers, and AWS profiles, keep their settings.";
    PULL_POLICY = "GANTRY_PULL_POLICY", Images, "if-not-present",
        "`if-not-present` pulls a digest that the engine lacks, `always` asks the engine to pull every time, `never` runs only what is present. Each asks the registry what the reference means now.";
    WRITABLE_ROOT = "GANTRY_WRITABLE_ROOT_IMAGES", Images, "",
        "Comma list of repositories (`registry/repository`) whose containers get a writable root file system, because the image can't live without one.";

    NETWORK = "SPACELIFT_WORKER_NETWORK", Containers, "a network of its own for each run",
        "Docker network (name or id) of all run containers instead. `bridge` is Docker's shared one, `none` gives no network; `host` and `container:…` are refused.";
    NETWORK_POOL = "GANTRY_NETWORK_POOL", Containers, "10.213.0.0/22",
        "IPv4 range of the runs' own networks, cut into one /28 for each of `GANTRY_CAPACITY`. What other Docker networks and the host's routes use of it is left out; what is left has to be enough.";
    BLOCK_METADATA = "GANTRY_BLOCK_METADATA", Containers, "false",
        "`true` keeps run containers from link-local addresses (169.254.0.0/16; runs' own networks carry no IPv6), where clouds serve instance credentials. Port 53 of the host's own name server stays open where that has such an address. Needs runs' own networks, and root and iptables in the engine's network namespace.";
    RUNTIME = "SPACELIFT_WORKER_RUNTIME", Containers, "the daemon's",
        "OCI runtime of run containers, such as `runsc`. Proved at start with a canary container. `runsc` needs `--host-uds=open` in its `runtimeArgs`.";
    PLATFORM = "GANTRY_RUN_PLATFORM", Containers, "the engine's",
        "What runs are made for, `linux/amd64` or `linux/arm64`: their images, the worker, and tools from a mirror. Another one than the engine's needs an emulation (binfmt_misc), such as `qemu-user-static` gives; it is proved at start with a canary container.";
    MEMORY = "GANTRY_RUN_MEMORY_MB", Containers, "2048",
        "Memory limit of a run container in MiB, its memory file systems included.";
    CPUS = "GANTRY_RUN_CPUS", Containers, "2",
        "CPU limit of a run container, such as `1.5`.";
    PIDS = "GANTRY_RUN_PIDS", Containers, "1024",
        "Process limit of a run container.";
    TMP = "GANTRY_RUN_TMP_MB", Containers, "1024",
        "Size of `/tmp` in a run container in MiB.";
    DISK = "GANTRY_RUN_DISK_MB", Containers, "10240",
        "Disk that a run's workspace (and root, where writable) may use, in MiB. A run that uses more is ended, and the cause is named.";
    CAPACITY = "GANTRY_CAPACITY", Containers, "1",
        "Runs at a time, 1 to 64.";
    STANDBY = "GANTRY_STANDBY", Containers, "0",
        "Containers of the default image to keep started and waiting, at most `GANTRY_CAPACITY`. Each is used once, and counts against the host's memory while it waits.";

    WHITELIST = "SPACELIFT_WHITELIST_ENVS", HandedOver, "",
        "Comma list of the launcher's variables that run containers get. `ro_NAME` hands `NAME` to phases that only read, `wo_NAME` to phases that write (apply, perform, destroy); the value is that of `ro_NAME` (or `wo_NAME`) where the launcher has such a variable, else that of `NAME`. The run sees `NAME`. A stack's own variable of the same name wins. A name that is unset is warned of at start.";
    MASK = "SPACELIFT_MASK_ENVS", HandedOver, "",
        "Comma list of names in `SPACELIFT_WHITELIST_ENVS` (as written there or as runs see them) whose values are hidden in logs. Values of fewer than 4 characters can't be: the run's log names them.";
    RUN_PROXY = "GANTRY_RUN_PROXY", HandedOver, "off",
        "Proxy variables of runs, in capitals and in small letters: `off`; `inherit` gives those that the launcher goes by; a proxy's URL gives that. A password in it is hidden in logs. What the stack sets itself wins, in either writing. See docs/PROXIES.md.";
    RUN_NO_PROXY = "GANTRY_RUN_NO_PROXY", HandedOver, "the launcher's `NO_PROXY`",
        "What runs reach without that proxy; loopback addresses are always added.";
    RUN_CAS = "GANTRY_RUN_CAS", HandedOver, "on",
        "Where CAs are added (`ADDITIONAL_ROOT_CAS`, `GANTRY_CA_FILES`), runs get one file with the host's roots and those, read-only at `/gantry/ca/bundle.pem`, and the variables that programs find it by (`SSL_CERT_FILE`, `CURL_CA_BUNDLE`, `REQUESTS_CA_BUNDLE`, `NODE_EXTRA_CA_CERTS`, `GIT_SSL_CAINFO`, `AWS_CA_BUNDLE` and others). `off` gives neither.";
    MOUNTS = "SPACELIFT_WORKER_EXTRA_MOUNTS", HandedOver, "",
        "Comma list of `/host:/container[:ro|:rw]`, mounted in every run, writable unless `:ro` is said. A backslash takes the meaning from the comma, colon or backslash after it. The host path has to exist; it is resolved just before each container is made, and may not lead to the container engine, the launcher's directory, `/`, `/proc`, `/sys` or `/dev`.";
    RO_MOUNTS = "SPACELIFT_WORKER_RO_EXTRA_MOUNTS", HandedOver, "",
        "The same, directories only, and only in containers that never write: proposed runs, and plans that a person has to confirm.";
    WO_MOUNTS = "SPACELIFT_WORKER_WO_EXTRA_MOUNTS", HandedOver, "",
        "The same, directories only, and only in containers that may write: confirmed applies, tasks, destroys, and plans that go on to their apply by themselves.";

    FILE_PREFIXES = "GANTRY_SOURCE_FILE_PREFIXES", Source, "",
        "Comma list of directories below which `file://` repositories are allowed.";
    KNOWN_HOSTS = "GANTRY_SSH_KNOWN_HOSTS", Source, "",
        "`known_hosts` file for `ssh` repositories; without it they are refused.";
    VCS_NAME = "SPACELIFT_PRIVATEVCS_MAPPING_NAME_", Source, "",
        "A prefix, counted from 0 without gaps: the name of a VCS agent pool whose repositories this host reaches directly.";
    VCS_ENDPOINT = "SPACELIFT_PRIVATEVCS_MAPPING_BASE_ENDPOINT_", Source, "",
        "A prefix, with the same numbers: the base URL (`https://host[:port][/path]`) that stands for `private://<name>`.";

    TOOL_MIRROR = "GANTRY_TOOL_MIRROR", Tools, "https://releases.hashicorp.com and https://github.com/opentofu/opentofu/releases/download",
        "Where Terraform and OpenTofu of the version that a stack asks for come from: an https base URL or an absolute directory that holds `terraform/<version>/` and `opentofu/v<version>/` with the publishers' file names. See docs/TOOLS.md.";
    TOOL_KEYS = "GANTRY_TOOL_KEYS", Tools, "",
        "Comma list of OpenPGP public key files (absolute paths, armored or binary) that may sign a tool's `SHA256SUMS`; the start logs their fingerprints. None is built in: without one nothing is downloaded, and a stack that asks for a version gets the image's tool if that is it.";
    PROVIDER_CACHE = "GANTRY_PROVIDER_CACHE", Tools, "false",
        "`true` keeps providers that runs downloaded, by the hash of their bytes, and copies them into later runs whose committed lock file pins that hash.";
    PROVIDER_MIRROR = "GANTRY_PROVIDER_MIRROR", Tools, "",
        "Directory laid out as Terraform's file-system mirror. When set, providers come from it (and from the image's `/plugins`) only, and nothing is downloaded, unless the stack brings a command-line configuration of its own.";

    INIT_POLICY = "SPACELIFT_LAUNCHER_RUN_INITIALIZATION_POLICY", Admission, "",
        "Absolute path of a Rego policy (`package spacelift`, v0 or v1) that is asked before each plan, apply and task; its `deny` ends the run. Compiled at start: a launcher with one that can't be read does not start. See docs/POLICIES.md.";

    RUN_TIMEOUT = "SPACELIFT_LAUNCHER_RUN_TIMEOUT", Runs, "70m",
        "Longest time of a container as a Go duration, such as `120m` or `1h30m`. At its end the tool gets one interrupt and its grace.";
    LOGS_TIMEOUT = "SPACELIFT_LAUNCHER_LOGS_TIMEOUT", Runs, "7m",
        "Longest silence of a run as a Go duration. It never ends an apply or destroy: waiting for a cloud prints nothing.";
    GRACE = "GANTRY_STOP_GRACE", Runs, "1m",
        "What an interrupted tool gets before it is killed, where it changes nothing; a Go duration.";
    APPLY_GRACE = "GANTRY_APPLY_STOP_GRACE", Runs, "10m",
        "The same once it may change the world: a killed apply loses data.";
    STDOUT = "SPACELIFT_RUN_LOGS_ON_STANDARD_OUTPUT_ENABLED", Runs, "false",
        "`true` also writes the masked log of runs to standard output, one JSON object a line with `run_ulid`, `stack_id`, `ts` and `msg`. Lines over 16 KiB come in parts (`partial`); a reader that is too slow misses lines and is told how many (`dropped`).";
    DEBUG = "SPACELIFT_DEBUG", Runs, "false",
        "`true` writes each hook and task as it is written, and the tool with its arguments, into the run's log before it runs (masked).";
    OUTPUTS = "SPACELIFT_SENSITIVE_OUTPUT_UPLOAD_ENABLED", Runs, "false",
        "Checked, and without effect: no outputs of stacks are uploaded yet, sensitive or not.";
    SPOOL = "GANTRY_LOG_SPOOL_MB", Runs, "512",
        "Log bytes of one run kept on disk while the server is away, in MiB. Beyond it the middle of the log is dropped behind a visible marker.";

    FREE_DISK = "GANTRY_MIN_FREE_DISK_MB", Host, "2048",
        "Below this much free disk (in the data directory or Docker's), in MiB, or below 2 % free inodes, no run is taken until there is room again.";
    IMAGE_AGE = "GANTRY_IMAGE_KEEP", Host, "168h",
        "How long an image that this launcher pulled is kept after its last run; a Go duration. Under disk pressure unused ones go earlier, oldest first. Other images are never touched.";
    HEALTH = "GANTRY_HEALTH_LISTEN", Host, "",
        "Where `/metrics` (Prometheus), `/healthz` and `/readyz` are served: `127.0.0.1:9464`, `[::1]:9464` or `unix:/run/gantry/health.sock`. Off when unset; only loopback addresses are taken.";
    OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT", Host, "",
        "Base URL of an OpenTelemetry collector (OTLP over HTTP, protobuf). When set, a trace of each run with its stages goes there.";
    SPOT = "GANTRY_SPOT_NOTICE", Host, "false",
        "`true` asks the EC2 metadata service every 5 s whether this spot instance is to be interrupted. When it is, no run is taken any more, and 30 s before the end runs that change nothing yet are stopped; an apply goes on.";
    IMDS = "AWS_EC2_METADATA_SERVICE_ENDPOINT", Host, "http://169.254.169.254",
        "Base URL of the EC2 metadata service, as AWS' own clients read it.";
    KEEP = "GANTRY_KEEP_CONTAINERS", Host, "false",
        "`true` keeps ended containers for inspection; never set it in production.";
    LOG = "GANTRY_LOG", Host, "info",
        "What the launcher logs, such as `info,gantry_launcher::job=debug`.";
    LOG_FORMAT = "GANTRY_LOG_FORMAT", Host, "json",
        "`json` or `text`.";
}
