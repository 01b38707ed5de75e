# shellcheck shell=bash disable=SC2034  # variables that the functions leave are read by the caller
# What the scripts share: telling, installing, starting, waiting, ending.
#
# Sourced by scripts/demo, scripts/test and scripts/bench after `set -euo pipefail`. Gives functions only.
# Never: ends a process that it did not start, waits without a deadline, or installs without saying so.

GANTRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LIB_STARTED=$SECONDS
LIB_EXIT_STEPS=()

# --- telling (stderr; stdout is for results) -----------------------------------------------------------------

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
    LIB_BOLD=$'\e[1m' LIB_RED=$'\e[31m' LIB_DIM=$'\e[2m' LIB_PLAIN=$'\e[0m'
else
    LIB_BOLD='' LIB_RED='' LIB_DIM='' LIB_PLAIN=''
fi

elapsed() { printf '%d:%02d' $(((SECONDS - LIB_STARTED) / 60)) $(((SECONDS - LIB_STARTED) % 60)); }
step() { printf '%s[%s] %s%s\n' "$LIB_BOLD" "$(elapsed)" "$*" "$LIB_PLAIN" >&2; }
say() { printf '%s       %s%s\n' "$LIB_DIM" "$*" "$LIB_PLAIN" >&2; }
die() {
    printf '%serror: %s%s\n' "$LIB_RED" "$*" "$LIB_PLAIN" >&2
    exit 1
}

# --- ending --------------------------------------------------------------------------------------------------

# at_exit COMMAND...: runs when the script ends for whatever reason, last registered first.
at_exit() { LIB_EXIT_STEPS+=("$(printf '%q ' "$@")"); }

lib_run_exit_steps() {
    local status=$? index
    trap - EXIT
    trap '' INT TERM
    for ((index = ${#LIB_EXIT_STEPS[@]} - 1; index >= 0; index--)); do
        eval "${LIB_EXIT_STEPS[index]}" || say "clean-up step failed: ${LIB_EXIT_STEPS[index]}"
    done
    LIB_EXIT_STEPS=()
    exit "$status"
}
trap lib_run_exit_steps EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# keep_everything: nothing registered so far is ended or removed at exit.
keep_everything() { LIB_EXIT_STEPS=(); }

# start NAME LOG COMMAND...: runs the command in the background in its own session, its output in LOG.
# Leaves its process id in $STARTED_PID and ends it at exit.
start() {
    local name=$1 log=$2
    shift 2
    setsid "$@" >>"$log" 2>&1 </dev/null &
    STARTED_PID=$!
    at_exit stop_started "$name" "$STARTED_PID" "$(begun_at "$STARTED_PID")"
}

# stop_started NAME PID BEGUN: SIGTERM, then SIGKILL after a grace. Harmless when it has ended already, also when
# another process has got its id since.
stop_started() {
    local name=$1 pid=$2 begun=$3 deadline=$((SECONDS + 20))
    running "$pid" && [[ $(begun_at "$pid") == "$begun" ]] || return 0
    signal TERM "$pid"
    while running "$pid"; do
        if ((SECONDS >= deadline)); then
            say "$name (process $pid) did not end on SIGTERM; killing it"
            signal KILL "$pid"
            break
        fi
        sleep 0.1
    done
    wait "$pid" 2>/dev/null || true
}

# stat_field PID N: a field of /proc/PID/stat, counted after the name (which may hold anything): 1 is the state,
# 20 the time it began, in ticks since the machine started.
stat_field() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f "$2"; }
begun_at() { stat_field "$1" 20; }
# running PID: a process that has ended but is not yet waited for does not count.
running() { [[ $(stat_field "$1" 1) == [^ZX] ]]; }
signal() { kill "-$1" "$2" 2>/dev/null || as_root kill "-$1" "$2" 2>/dev/null || true; }

# --- waiting -------------------------------------------------------------------------------------------------

# What only emulates another machine gets more time: $LIB_PATIENCE times as long.
LIB_PATIENCE=1

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds; fails with WHAT in the message.
wait_until() {
    local deadline=$((SECONDS + $1 * LIB_PATIENCE)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            printf '%serror: waited too long for %s%s\n' "$LIB_RED" "$what" "$LIB_PLAIN" >&2
            return 1
        fi
        sleep 0.2
    done
}

# wait_started SECONDS WHAT PID LOG COMMAND...: like wait_until, but a process that ended counts as failure,
# and the end of its log is shown.
wait_started() {
    local deadline=$((SECONDS + $1 * LIB_PATIENCE)) what=$2 pid=$3 log=$4
    shift 4
    until "$@" >/dev/null 2>&1; do
        if ! running "$pid" || ((SECONDS >= deadline)); then
            say "the end of $log:"
            tail -n 20 "$log" >&2 || true
            die "$what did not come up"
        fi
        sleep 0.2
    done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: a loopback TCP port that nothing listens on just now.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + RANDOM % 12000))
        port_open "$port" || {
            echo "$port"
            return 0
        }
    done
    die "no free TCP port found between 20000 and 32000 on 127.0.0.1"
}

# --- installing ----------------------------------------------------------------------------------------------

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$1' needs root: run this as root, or install sudo"
    fi
}

# need PACKAGE:COMMAND...: installs the Debian packages whose command is missing. A command that is a path
# counts as present when the file exists.
need() {
    local pair command missing=()
    for pair in "$@"; do
        command=${pair#*:}
        [[ -e $command ]] || command -v "$command" >/dev/null ||
            PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || missing+=("${pair%%:*}")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "missing: ${missing[*]} (packages of Debian or Ubuntu); install them, this system has no apt-get"
    say "installing ${missing[*]}"
    install_packages "${missing[@]}"
}

install_packages() {
    local log
    log=$(mktemp)
    if [[ -z ${LIB_APT_UPDATED:-} ]]; then
        as_root apt-get update -q >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            die "apt-get update failed"
        }
        LIB_APT_UPDATED=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "apt-get could not install: $*"
    }
    rm -f "$log"
}

# need_c_toolchain: linking Rust and the C parts of two crates (ring, SQLite).
need_c_toolchain() { need gcc:gcc libc6-dev:/usr/include/stdio.h; }

# --- Docker --------------------------------------------------------------------------------------------------

# docker_up: makes a Docker daemon answer: uses the one that does, else installs and starts one, which is ended
# at exit. Without root it is started through sudo.
docker_up() {
    docker_answers && return 0
    need docker.io:dockerd docker.io:docker iptables:iptables
    docker_answers && return 0
    local log=${TMPDIR:-/tmp}/gantry-dockerd.log pidfile options
    say "starting dockerd (no Docker daemon answers); its log: $log"
    pidfile=$(mktemp -u "${TMPDIR:-/tmp}/gantry-dockerd.XXXXXX")
    mapfile -t options < <(gvisor_options)
    options+=(--live-restore --pidfile "$pidfile")
    if ((EUID == 0)); then
        start dockerd "$log" env "PATH=$PATH:/usr/sbin:/sbin" dockerd "${options[@]}"
    else
        start dockerd "$log" sudo env "PATH=$PATH:/usr/sbin:/sbin" dockerd "${options[@]}"
    fi
    wait_started 60 dockerd "$STARTED_PID" "$log" docker_answers
}

# gvisor_options: where runsc is installed, options for two runtimes with it: one that lets containers connect to
# sockets of the host, as runs need it, and one that does not. Debian's build takes a container's network namespace for the
# host's on newer kernels, so it is told to use that namespace's own stack.
gvisor_options() {
    local runsc dir
    runsc=$(command -v runsc) || return 0
    dir=$(mktemp -d "${TMPDIR:-/tmp}/gantry-gvisor.XXXXXX")
    printf '#!/bin/sh\nexec %s --network=host --host-uds=open "$@"\n' "$runsc" >"$dir/runsc"
    printf '#!/bin/sh\nexec %s --network=host "$@"\n' "$runsc" >"$dir/runsc-closed"
    chmod 755 "$dir/runsc" "$dir/runsc-closed"
    printf '%s\n' --add-runtime "runsc=$dir/runsc" --add-runtime "runsc-closed=$dir/runsc-closed"
}

docker_answers() { command -v docker >/dev/null && as_root docker info >/dev/null 2>&1; }

# registry_up DIR: starts a registry on a loopback port; leaves host:port in $REGISTRY.
registry_up() {
    local dir=$1 port log=$1/registry.log
    if ! command -v docker-registry >/dev/null; then
        need docker-registry:docker-registry
        # The package starts its own service on every interface; only the program is wanted here.
        if [[ -d /run/systemd/system ]]; then
            as_root systemctl disable --now docker-registry >/dev/null 2>&1 || true
        fi
    fi
    port=$(free_port)
    REGISTRY=127.0.0.1:$port
    cat >"$dir/registry.yml" <<-YAML
	version: 0.1
	log: {level: warn}
	storage: {filesystem: {rootdirectory: $dir/registry}, delete: {enabled: true}}
	http: {addr: $REGISTRY}
	YAML
    start docker-registry "$log" docker-registry serve "$dir/registry.yml"
    wait_started 20 "the image registry on $REGISTRY" "$STARTED_PID" "$log" port_open "$port"
}

# --- building ------------------------------------------------------------------------------------------------

# cargo_settings: one target directory and one set of flags for every step, so that nothing is built twice.
# The explicit --target keeps build scripts and macros dynamic while the programs become static.
cargo_settings() {
    command -v cargo >/dev/null ||
        die "no Rust toolchain found: install rustup (https://rustup.rs); rust-toolchain.toml picks the version"
    RUST_TARGET=$(rustc -vV | sed -n 's/^host: //p')
    export RUSTFLAGS="-C target-feature=+crt-static"
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$GANTRY_ROOT/target}
    BIN_DIR=$CARGO_TARGET_DIR/$RUST_TARGET
}

# --- the infrastructure tool ---------------------------------------------------------------------------------

TOFU_VERSION=1.10.6
# OpenTofu's release key, as published at https://opentofu.org/docs/intro/install/standalone/.
TOFU_KEY=E3E6E43D84CB852EADB0051D0C0AF313E5FD9F80

# find_tool CACHE_DIR: leaves $TOOL (terraform or opentofu), $TOOL_BIN and $TOOL_VERSION. One tool is never
# passed off as the other.
find_tool() {
    if TOOL_BIN=$(type -P tofu); then
        TOOL=opentofu
    elif TOOL_BIN=$(type -P terraform); then
        TOOL=terraform
    else
        TOOL=opentofu
        TOOL_BIN=$1/tofu-$TOFU_VERSION
        [[ -x $TOOL_BIN ]] || download_tofu "$1"
    fi
    TOOL_BIN=$(readlink -f "$TOOL_BIN")
    TOOL_VERSION=$(tool_version "$TOOL" "$TOOL_BIN")
}

# tool_version TOOL FILE: asks the file itself, and checks that it is what it is taken for.
tool_version() {
    local first name
    first=$(env -u TF_CLI_CONFIG_FILE CHECKPOINT_DISABLE=1 "$2" version 2>/dev/null | head -n 1) || true
    name=Terraform
    [[ $1 == terraform ]] || name=OpenTofu
    [[ $first == "$name v"* ]] || die "$2 is not $name: it calls itself '${first:-nothing}'"
    echo "${first#"$name v"}"
}

download_tofu() {
    local dir=$1 arch base file
    case $(uname -m) in
        x86_64) arch=amd64 ;;
        aarch64) arch=arm64 ;;
        *) die "no OpenTofu release for $(uname -m): put tofu or terraform on PATH" ;;
    esac
    need curl:curl gnupg:gpg
    say "neither tofu nor terraform on PATH: downloading OpenTofu $TOFU_VERSION"
    mkdir -p "$dir/tofu.part/gpg"
    chmod 700 "$dir/tofu.part/gpg"
    base=https://github.com/opentofu/opentofu/releases/download/v$TOFU_VERSION
    file=tofu_${TOFU_VERSION}_linux_$arch.tar.gz
    fetch https://get.opentofu.org/opentofu.asc "$dir/tofu.part/key.asc"
    fetch "$base/tofu_${TOFU_VERSION}_SHA256SUMS" "$dir/tofu.part/SHA256SUMS"
    fetch "$base/tofu_${TOFU_VERSION}_SHA256SUMS.gpgsig" "$dir/tofu.part/SHA256SUMS.gpgsig"
    fetch "$base/$file" "$dir/tofu.part/$file"
    verify_tofu "$dir/tofu.part" "$file"
    tar -xzf "$dir/tofu.part/$file" -C "$dir/tofu.part" tofu
    mv "$dir/tofu.part/tofu" "$dir/tofu-$TOFU_VERSION"
    rm -rf "$dir/tofu.part"
}

fetch() {
    curl --proto '=https' --tlsv1.2 -fsSL --retry 2 --connect-timeout 15 -o "$2" "$1" ||
        die "no tofu or terraform on PATH, and $1 can't be downloaded: install one of the tools and try again"
}

# verify_tofu DIR FILE: the pinned key signed the list, and the list names this file's digest.
verify_tofu() {
    local status
    gpg --homedir "$1/gpg" --batch --quiet --import "$1/key.asc" 2>/dev/null || die "OpenTofu's release key is unreadable"
    status=$(gpg --homedir "$1/gpg" --batch --status-fd 1 --verify "$1/SHA256SUMS.gpgsig" "$1/SHA256SUMS" 2>/dev/null) ||
        die "the signature of OpenTofu $TOFU_VERSION's checksums is wrong"
    grep -q "^\[GNUPG:\] VALIDSIG .*$TOFU_KEY\$" <<<"$status" ||
        die "OpenTofu $TOFU_VERSION's checksums are signed by another key than $TOFU_KEY"
    (cd "$1" && grep -F " $2" SHA256SUMS | sha256sum --check --strict --quiet) ||
        die "the checksum of $2 is wrong"
}
