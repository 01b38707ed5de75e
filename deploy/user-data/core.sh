# shellcheck shell=bash
# What an instance does in any cloud: from bare Debian, Ubuntu or Amazon Linux to a launcher that has joined its pool.
#
# Comes after the settings and the functions of one cloud (render puts them together). As user data it boots; the copy of
# itself that it leaves watches, as gantry-lifecycle.service, for the order to go.
# Never: a secret in a variable of the environment, an argument, a file others read, or a log; a launcher that was not
# verified; an instance that idles because something is missing.
set -euo pipefail
set +x
umask 077

ETC=/etc/gantry
COPY=/usr/local/lib/gantry/boot
TOLD='' STEP='the beginning'

# --- telling -------------------------------------------------------------------------------------------------

say() { printf 'gantry-boot: %s\n' "$*" >&2; }

# fail MESSAGE: the one line that says why, where people look: cloud-init's log, the journal, the console.
fail() {
    local line="error: $*"
    say "$line"
    logger --tag gantry-boot --priority user.err -- "$line" 2>/dev/null || true
    { say "$line" 2>/dev/console; } 2>/dev/null || true
    TOLD=yes
    exit 1
}

# gave_up STATUS: at every end of a boot. An instance without a launcher is handed back.
gave_up() {
    local status=$1
    trap - EXIT
    ((status)) || exit 0
    [[ -n $TOLD ]] || (fail "ended with $status after: $STEP") || true
    if [[ ${GANTRY_ON_FAILURE:-replace} == replace ]]; then
        cloud_give_up || say "the cloud could not be told that this instance is of no use"
    fi
    exit "$status"
}

step() {
    STEP=$1
    say "$1"
}

# keep MODE FILE: standard input into a file, whole or not at all.
keep() {
    local part
    part=$(mktemp "$2.XXXXXX")
    cat >"$part" && chmod "$1" "$part" && mv -f "$part" "$2" && return
    rm -f "$part"
    fail "'$2' can't be written"
}

# --- settings ------------------------------------------------------------------------------------------------

check_settings() {
    local name line
    for name in GANTRY_TOKEN_SECRET GANTRY_KEY_SECRET GANTRY_LAUNCHER_ENV; do
        [[ -n ${!name:-} ]] || fail "the setting $name is missing from the user data"
    done
    while IFS= read -r line; do
        case $line in
            '' | '#'*) ;;
            SPACELIFT_TOKEN=* | SPACELIFT_POOL_PRIVATE_KEY=*)
                fail "GANTRY_LAUNCHER_ENV holds ${line%%=*}: user data is no place for secrets, name them in GANTRY_TOKEN_SECRET and GANTRY_KEY_SECRET" ;;
            [A-Za-z_]*=*) ;;
            *) fail "GANTRY_LAUNCHER_ENV has a line that is not NAME=value: '${line:0:40}'" ;;
        esac
    done <<<"$GANTRY_LAUNCHER_ENV"
    if [[ -n ${GANTRY_RELEASE_FROM:-} ]]; then
        for name in GANTRY_RELEASE_KEY GANTRY_RELEASE_VERSION GANTRY_INSTALL_SHA256; do
            [[ -n ${!name:-} ]] || fail "the setting $name is missing from the user data: a release is verified before it is installed"
        done
    fi
}

# use_proxy: for what this script calls; the launcher and dockerd get theirs in files of their own.
use_proxy() {
    [[ -n ${GANTRY_HTTP_PROXY:-} ]] || return 0
    export http_proxy=$GANTRY_HTTP_PROXY https_proxy=$GANTRY_HTTP_PROXY
    export HTTP_PROXY=$GANTRY_HTTP_PROXY HTTPS_PROXY=$GANTRY_HTTP_PROXY
    GANTRY_NO_PROXY=127.0.0.1,localhost,169.254.169.254,metadata.google.internal${GANTRY_NO_PROXY:+,$GANTRY_NO_PROXY}
    export no_proxy=$GANTRY_NO_PROXY NO_PROXY=$GANTRY_NO_PROXY
}

# --- programs ------------------------------------------------------------------------------------------------

# need COMMAND:PACKAGE...: by the distribution's packages, where a command is missing.
need() {
    local pair missing=()
    for pair in "$@"; do
        [[ -n $(command -v "${pair%%:*}") ]] || missing+=("${pair#*:}")
    done
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    if [[ -n $(command -v apt-get) ]]; then
        export DEBIAN_FRONTEND=noninteractive
        # Updates by themselves may hold the lock at a first start.
        apt-get update -q >/dev/null &&
            apt-get -o DPkg::Lock::Timeout=300 install -qy --no-install-recommends "${missing[@]}" >/dev/null && return
    elif [[ -n $(command -v dnf) ]]; then
        dnf install -qy "${missing[@]}" >/dev/null && return
    fi
    fail "this system gives no packages for: ${missing[*]} (use an image that has them, deploy/packer)"
}

# trust_cas: the launcher adds CAs itself; this is for what is not ours: dockerd, curl, the cloud's own client.
trust_cas() {
    [[ -n ${GANTRY_CUSTOM_CAS:-} ]] || return 0
    local dir=/usr/local/share/ca-certificates update=update-ca-certificates number=0 one
    [[ -d /etc/pki/ca-trust ]] && dir=/etc/pki/ca-trust/source/anchors update=update-ca-trust
    install -d -m 0755 "$dir"
    while IFS= read -r one; do
        number=$((number + 1))
        (set -o pipefail && base64 -d <<<"$one" | keep 644 "$dir/gantry-$number.crt") 2>/dev/null ||
            fail "certificate $number of GANTRY_CUSTOM_CAS is not base64 of PEM (gantry ca bundle makes the value)"
    done < <(base64 -d <<<"$GANTRY_CUSTOM_CAS" 2>/dev/null | jq -er '.caCertificates[]' 2>/dev/null)
    ((number)) || fail "GANTRY_CUSTOM_CAS is not base64 of {\"caCertificates\":[…]} (gantry ca bundle makes the value)"
    $update >/dev/null || fail "$update failed"
}

docker_up() {
    if [[ -S /run/docker.sock && -z $(systemctl list-unit-files --no-legend docker.service) ]]; then
        return # A daemon from elsewhere.
    fi
    local place=/etc/systemd/system/docker.service.d
    if [[ -n ${GANTRY_HTTP_PROXY:-} ]]; then
        install -d -m 0755 "$place"
        printf '[Service]\nEnvironment="HTTP_PROXY=%s" "HTTPS_PROXY=%s" "NO_PROXY=%s"\n' \
            "${GANTRY_HTTP_PROXY//%/%%}" "${GANTRY_HTTP_PROXY//%/%%}" "$GANTRY_NO_PROXY" | keep 600 "$place/gantry-proxy.conf"
    fi
    if [[ ! -e /etc/docker/daemon.json ]]; then
        install -d -m 0755 /etc/docker
        printf '{"live-restore": true, "log-driver": "local"}\n' | keep 644 /etc/docker/daemon.json
    fi
    systemctl daemon-reload
    systemctl enable --quiet docker
    systemctl restart docker || fail "dockerd does not start (journalctl -u docker)"
}

# install_launcher: from a release that is verified, or the one that the image has.
install_launcher() {
    if [[ -z ${GANTRY_RELEASE_FROM:-} ]]; then
        [[ -x /usr/bin/gantry-launcher && -e $(unit_of gantry-launcher) ]] ||
            fail "this image has no launcher with its unit, and GANTRY_RELEASE_FROM names no release to install"
        return
    fi
    local dir from=$GANTRY_RELEASE_FROM sum
    dir=$(mktemp -d)
    case $from in
        https://* | http://127.0.0.1:*) curl -fsSL --retry 3 --connect-timeout 15 -o "$dir/install" "${from%/}/install" ||
            fail "the release's install script can't be had from $from (GANTRY_RELEASE_FROM)" ;;
        /*) cp "$from/install" "$dir/install" || fail "there is no $from/install (GANTRY_RELEASE_FROM)" ;;
        *)
            from=$dir/release
            cloud_fetch "$GANTRY_RELEASE_FROM" "$from" || fail "the release can't be had from $GANTRY_RELEASE_FROM (GANTRY_RELEASE_FROM)"
            cp "$from/install" "$dir/install" || fail "the release at $GANTRY_RELEASE_FROM has no install script"
            ;;
    esac
    sum=$(sha256sum <"$dir/install")
    [[ ${sum%% *} == "$GANTRY_INSTALL_SHA256" ]] ||
        fail "the release's install script is not the one that GANTRY_INSTALL_SHA256 names, and is not executed"
    printf '%s\n' "$GANTRY_RELEASE_KEY" >"$dir/release.key"
    bash "$dir/install" "$from" launcher --key-file "$dir/release.key" --version "$GANTRY_RELEASE_VERSION" >"$dir/said" 2>&1 ||
        fail "release $GANTRY_RELEASE_VERSION was not installed: $(tail -n 1 "$dir/said" | cut -c 1-400)"
    rm -rf "$dir"
}

unit_of() { systemctl show --property FragmentPath --value "$1.service"; }

# --- secrets and settings ------------------------------------------------------------------------------------

# put_secret SETTING FILE: what the setting names (NAME, or NAME#MEMBER of a JSON object), as a file of root's.
put_secret() {
    local setting=$1 file=$2 name=${!1%%#*} member='' said deadline=$((SECONDS + ${GANTRY_SECRET_PATIENCE:-90}))
    [[ ${!1} != *'#'* ]] || member=${!1#*#}
    said=$(mktemp)
    # Rights of a new role take seconds to be known everywhere, so every refusal is asked again for a while.
    until cloud_secret "$name" 2>"$said" | member_of "$member" 2>>"$said" | not_empty >"$file.new" 2>>"$said"; do
        rm -f "$file.new"
        if ((SECONDS >= deadline)); then
            fail "the secret '$name' ($setting) can't be read: $(grep -m 1 -v '^$' "$said" | cut -c 1-300)"
        fi
        sleep 3
    done
    chmod 600 "$file.new"
    mv -f "$file.new" "$file"
    rm -f "$said"
}

member_of() {
    [[ -n $1 ]] || exec cat
    jq -er --arg member "$1" '.[$member] | strings' 2>/dev/null || {
        echo "it has no member '$1'" >&2
        return 1
    }
}

not_empty() {
    grep . || {
        echo "it is empty" >&2
        return 1
    }
}

write_settings() {
    {
        printf '%s\n' "$GANTRY_LAUNCHER_ENV"
        cloud_metadata
        # Defaults of hosts in a cloud; what the settings say wins.
        default GANTRY_BLOCK_METADATA true
        default GANTRY_HEALTH_LISTEN 127.0.0.1:9464
        if [[ -n ${GANTRY_HTTP_PROXY:-} ]]; then
            default HTTP_PROXY "$GANTRY_HTTP_PROXY"
            default HTTPS_PROXY "$GANTRY_HTTP_PROXY"
            default NO_PROXY "$GANTRY_NO_PROXY"
            default GANTRY_RUN_PROXY inherit
        fi
        [[ -z ${GANTRY_CUSTOM_CAS:-} ]] || default ADDITIONAL_ROOT_CAS "$GANTRY_CUSTOM_CAS"
    } | keep 600 "$ETC/launcher.env"
}

default() { grep -q "^$1=" <<<"$GANTRY_LAUNCHER_ENV" || printf '%s=%s\n' "$1" "$2"; }

# --- logs ----------------------------------------------------------------------------------------------------

# ship_logs: the journal stays; a copy of the launcher's lines goes into a file that the cloud's agent reads.
ship_logs() {
    [[ -n ${GANTRY_LOG_GROUP:-} ]] || return 0
    install -d -m 0750 /var/log/gantry
    cat >/etc/systemd/system/gantry-journal.service <<-UNIT
	[Unit]
	Description=Copy of the launcher's journal for the cloud's log agent
	[Service]
	ExecStart=/usr/bin/journalctl --follow --lines=0 --output=cat --unit=gantry-launcher --unit=gantry-lifecycle
	StandardOutput=append:/var/log/gantry/launcher.log
	Restart=always
	NoNewPrivileges=yes
	ProtectSystem=strict
	ProtectHome=yes
	PrivateNetwork=yes
	[Install]
	WantedBy=multi-user.target
	UNIT
    printf '/var/log/gantry/launcher.log {\n daily\n rotate 3\n size 50M\n copytruncate\n missingok\n notifempty\n}\n' |
        keep 644 /etc/logrotate.d/gantry
    systemctl daemon-reload
    systemctl enable --quiet --now gantry-journal
    cloud_ship_logs "$GANTRY_LOG_GROUP"
}

# --- start, watch, go ----------------------------------------------------------------------------------------

install_watch() {
    install -d -m 0755 "${COPY%/*}"
    keep 700 "$COPY" <"${BASH_SOURCE[0]}"
    cat >/etc/systemd/system/gantry-lifecycle.service <<-UNIT
	[Unit]
	Description=Lets the launcher finish its runs before this instance goes
	After=network-online.target
	[Service]
	ExecStart=/bin/bash $COPY watch
	Restart=on-failure
	RestartSec=5
	UMask=0077
	NoNewPrivileges=yes
	CapabilityBoundingSet=
	ProtectSystem=strict
	ProtectHome=yes
	PrivateTmp=yes
	PrivateDevices=yes
	ProtectKernelTunables=yes
	ProtectKernelModules=yes
	ProtectControlGroups=yes
	RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
	RestrictNamespaces=yes
	LockPersonality=yes
	[Install]
	WantedBy=multi-user.target
	UNIT
    systemctl daemon-reload
    systemctl enable --quiet --now gantry-lifecycle
}

start_launcher() {
    systemctl enable --quiet gantry-launcher
    # The unit is ready once the server has answered; a server that is away is waited for, but not for ever.
    timeout "${GANTRY_START_PATIENCE:-600}" systemctl restart gantry-launcher && return
    fail "the launcher did not join its pool: $(journalctl --unit gantry-launcher --output cat --lines 40 --no-pager |
        grep -v -e '^gantry-launcher.service:' -e ' gantry-launcher.service' | tail -n 1 | cut -c 1-400)"
}

boot() {
    trap 'gave_up $?' EXIT
    ((EUID == 0)) || fail "this wants to be root"
    check_settings
    use_proxy
    step "programs"
    need curl:curl jq:jq
    trust_cas
    cloud_programs
    [[ -S /run/docker.sock || -n $(command -v dockerd) ]] || need dockerd:"$([[ -z $(command -v dnf) ]] && echo docker.io || echo docker)"
    step "which instance this is"
    cloud_identity
    step "Docker"
    docker_up
    step "the launcher"
    install_launcher
    step "secrets and settings"
    install -d -m 0755 "$ETC"
    put_secret GANTRY_TOKEN_SECRET "$ETC/pool.token"
    put_secret GANTRY_KEY_SECRET "$ETC/pool.key"
    write_settings
    step "logs"
    ship_logs
    step "the launcher's start"
    install_watch
    start_launcher
    cloud_ready
    say "the launcher has joined its pool"
    trap - EXIT
}

# watch: until the cloud orders this instance to go; then the launcher takes nothing new and finishes what it has.
watch() {
    local beating
    cloud_identity
    say "watching for the order to go"
    until cloud_leaving; do
        sleep "${GANTRY_WATCH_SECONDS:-5}"
    done
    say "this instance is to go: the launcher finishes its runs"
    while sleep "${GANTRY_HEARTBEAT_SECONDS:-60}"; do cloud_heartbeat || true; done &
    beating=$!
    systemctl stop gantry-launcher || say "the launcher did not stop in order"
    kill "$beating" 2>/dev/null || true
    cloud_go
    say "nothing runs here any more: the instance may go"
}

case ${1:-boot} in
    boot) boot ;;
    watch) watch ;;
    *)
        echo "usage: ${0##*/} [boot|watch]" >&2
        exit 64
        ;;
esac
