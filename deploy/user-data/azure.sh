# shellcheck shell=bash
# shellcheck disable=SC2034  # core.sh reads them
# What is Azure's: metadata, secrets of a Key Vault by the managed identity, scheduled events.
#
# Settings of its own: GANTRY_KEY_VAULT (https://NAME.vault.azure.net), GANTRY_IDENTITY_CLIENT_ID.
# Never: a token of the identity in an argument, or a request to the metadata service through a proxy.

IMDS=${GANTRY_METADATA_ENDPOINT:-http://169.254.169.254}

imds() {
    local path=$1
    shift
    curl --noproxy '*' -fsS --max-time 10 --retry 3 -H Metadata:true "$@" "$IMDS/metadata/$path"
}

cloud_programs() { :; }

cloud_identity() {
    local compute
    compute=$(imds 'instance/compute?api-version=2021-02-01') ||
        fail "the metadata service at $IMDS does not say which instance this is"
    INSTANCE=$(jq -er .vmId <<<"$compute") || fail "the metadata service at $IMDS gives no vmId"
    NAME=$(jq -er .name <<<"$compute") || fail "the metadata service at $IMDS gives no name"
    RESOURCE=$(jq -r .resourceId <<<"$compute")
    SET=$(jq -r .vmScaleSetName <<<"$compute")
}

cloud_metadata() {
    printf 'SPACELIFT_METADATA_instance_id=%s\nSPACELIFT_METADATA_vm_resource_id=%s\n' "$INSTANCE" "$RESOURCE"
    printf 'SPACELIFT_METADATA_vmss_name=%s\nSPACELIFT_METADATA_asg_id=%s\n' "$SET" "$SET"
}

cloud_secret() {
    local token
    [[ -n ${GANTRY_KEY_VAULT:-} ]] || {
        echo "the setting GANTRY_KEY_VAULT is missing" >&2
        return 1
    }
    token=$(imds "identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net${GANTRY_IDENTITY_CLIENT_ID:+&client_id=$GANTRY_IDENTITY_CLIENT_ID}" |
        jq -er .access_token) || return
    curl -fsS --max-time 20 --config - "${GANTRY_KEY_VAULT%/}/secrets/$1?api-version=7.4" \
        <<<"header = \"Authorization: Bearer $token\"" | jq -er .value
}

cloud_fetch() {
    echo "a release comes from https or from a directory of the image" >&2
    return 1
}

# The scale set's own probe of /healthz says the rest, and replaces what stays unhealthy.
cloud_ready() { :; }
cloud_give_up() { systemctl poweroff; }

# An event that takes this machine away; leaves its id in $EVENT.
cloud_leaving() {
    EVENT=$(imds 'scheduledevents?api-version=2020-07-01' 2>/dev/null | jq -er --arg name "$NAME" \
        '[.Events[] | select(.EventType == "Terminate" or .EventType == "Preempt") | select(.Resources | index($name))][0].EventId // empty')
}

# Azure knows no more time than the scale set's terminate notification gives (15 minutes at most).
cloud_heartbeat() { :; }
cloud_go() {
    jq -n --arg id "$EVENT" '{StartRequests: [{EventId: $id}]}' |
        imds 'scheduledevents?api-version=2020-07-01' -X POST -H 'Content-Type: application/json' --data-binary @- >/dev/null ||
        say "the event was not answered: the machine goes when its time is over"
}

cloud_ship_logs() { fail "GANTRY_LOG_GROUP has no meaning on Azure: the Azure Monitor agent reads the journal"; }
