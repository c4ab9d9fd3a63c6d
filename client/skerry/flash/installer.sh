#!/bin/sh
# Skerry installer for device @DEVICE@
# Installs the agent and this device's identity. It holds the device's secret: keep it private.
set -eu
umask 022

device='@DEVICE@'
fleet='@FLEET@'
agent='@AGENT@'
payload_sha256='@SHA256@'
payload_start=@START@

usage() {
    cat <<USAGE
Usage: sh $0 [--no-start] [--root DIR]
       sh $0 --extract-only DIR

Installs the Skerry agent for device '$device' of fleet '$fleet': code to /opt/skerry,
identity and state to /var/lib/skerry, and a systemd service skerry-agent.
Installing again replaces code and identity, and keeps what the device stored.

  --no-start          install and enable the service, but do not start it now
  --root DIR          install into a mounted system image instead of this machine
  --extract-only DIR  only unpack the device folder to DIR, new or empty; DIR/run.sh
                      starts the agent
  --help              show this
USAGE
}

fail() {
    echo "installer: $1" >&2
    exit 1
}

unpack() {
    mkdir -p "$1"
    tail -c "+$payload_start" "$0" >"$1/.payload"
    found=$(sha256sum "$1/.payload")
    if [ "${found%% *}" != "$payload_sha256" ]; then
        rm -f "$1/.payload"
        fail "this file is damaged or was changed; nothing was installed. Make it anew."
    fi
    # The owner is whoever unpacks, whatever the archive says.
    gzip -dc "$1/.payload" | tar -x -o -f - -C "$1"
    rm -f "$1/.payload"
}

find_python() {
    for python in "${SKERRY_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "Python 3.11 or later is needed; install it, or set SKERRY_PYTHON to where it is."
}

check_home() {
    [ -e "$home/device.json" ] || return 0
    grep -q "\"device\": \"$device\"" "$home/device.json" &&
        grep -q "\"fleet\": \"$fleet\"" "$home/device.json" && return 0
    fail "$home belongs to another device or fleet. Move it away to give this machine a new one."
}

install_code() {
    target=$root/opt/skerry/$agent
    if [ ! -d "$target" ]; then
        mkdir "$work/code"
        mv "$work/folder/lib" "$work/code/lib"
        [ -n "$root" ] || "$python" -m compileall -q "$work/code/lib"
        chmod -R go-w "$work/code"
        mv "$work/code" "$target"
    fi
    ln -s "$agent" "$work/current"
    mv -T "$work/current" "$root/opt/skerry/current"
    for other in "$root"/opt/skerry/*/; do
        case ${other%/} in
            "$target" | "$root/opt/skerry/current" | "$work") ;;
            *) rm -rf "${other%/}" ;;
        esac
    done
}

install_identity() {
    mkdir -p "$home/inputs"
    [ -e "$work/folder/ca.pem" ] || rm -f "$home/ca.pem"
    # Each by a rename, the secret last: whatever stops this, installing again puts it right.
    for name in ca.pem device.json run.sh trust.json token; do
        [ -e "$work/folder/$name" ] || continue
        cp -p "$work/folder/$name" "$home/.$name.new"
        mv "$home/.$name.new" "$home/$name"
    done
    ln -sfn /opt/skerry/current/lib "$home/lib"
    # What is installed runs, and no release that came before it.
    rm -f "$home/state/agent/slots.json"
}

install_service() {
    mkdir -p "$root/etc/systemd/system" "$root/etc/sysusers.d"
    # 65532 is the user of module images: what a module may write to, its agent can clean up.
    echo 'u skerry 65532 "Skerry agent" /var/lib/skerry' >"$root/etc/sysusers.d/skerry.conf"
    groups=
    # Whoever may talk to Docker is root in all but name; without Docker the agent is nobody.
    if grep -q '^docker:' "$root/etc/group" 2>/dev/null; then groups=docker; fi
    sed -e "s|@PYTHON@|$python|" -e "s|@GROUPS@|$groups|" "$work/folder/skerry-agent.service" \
        >"$work/unit"
    mv "$work/unit" "$root/etc/systemd/system/skerry-agent.service"
}

make_user() {
    id -u skerry >/dev/null 2>&1 && return 0
    if command -v systemd-sysusers >/dev/null 2>&1 && [ -d /run/systemd/system ]; then
        systemd-sysusers /etc/sysusers.d/skerry.conf && return 0
    fi
    uid='--uid 65532'
    if getent passwd 65532 >/dev/null 2>&1; then uid=; fi
    # shellcheck disable=SC2086  # two words, or none
    useradd --system $uid --user-group --home-dir /var/lib/skerry --shell /usr/sbin/nologin \
        skerry 2>/dev/null || adduser -S -D -H -h /var/lib/skerry skerry ||
        fail "no user 'skerry' could be made; make one and install again."
}

start() {
    if [ ! -d /run/systemd/system ]; then
        echo "There is no systemd here. Start the agent by hand, or from your init, with:"
        echo "  su -s /bin/sh skerry -c '$home/run.sh'"
        return
    fi
    systemctl daemon-reload
    systemctl enable --quiet skerry-agent.service
    if [ "$start_now" = no ]; then
        echo "Start it with: systemctl start skerry-agent"
        return
    fi
    systemctl restart skerry-agent.service
    echo "The agent runs. Look at it with: sudo -u skerry $home/run.sh status"
}

root= extract_to= start_now=yes
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --no-start) start_now=no ;;
        --root | --extract-only)
            [ $# -ge 2 ] && [ -n "$2" ] || { usage >&2; exit 2; }
            if [ "$1" = --root ]; then root=${2%/}; else extract_to=$2; fi
            shift ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

if [ -n "$extract_to" ]; then
    [ ! -e "$extract_to/device.json" ] || fail "$extract_to is a device folder already."
    if [ -e "$extract_to" ] && ! [ -d "$extract_to" ]; then fail "$extract_to is no folder."; fi
    # What cannot be listed is not known to be empty.
    if [ -d "$extract_to" ] && ! there=$(ls -A "$extract_to") || [ -n "${there:-}" ]; then
        fail "$extract_to is not empty. Name a folder that is new or empty."
    fi
    unpack "$extract_to"
    rm "$extract_to/skerry-agent.service"
    echo "Start the agent with: $extract_to/run.sh"
    echo "Look at it with: $extract_to/run.sh status"
    exit 0
fi

home=$root/var/lib/skerry
[ "$(id -u)" = 0 ] || fail "installing needs root; try: sudo sh $0"
python=$(find_python)
if [ -n "$root" ]; then python=/usr/bin/python3; fi
check_home
mkdir -p "$root/opt/skerry" "$home"
work=$(mktemp -d "$root/opt/skerry/.install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
unpack "$work/folder"
install_code
install_identity
install_service
if [ -n "$root" ]; then
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sfn ../skerry-agent.service \
        "$root/etc/systemd/system/multi-user.target.wants/skerry-agent.service"
    echo "Device $device is installed in $root; the agent starts with it."
    exit 0
fi
make_user
chown -hR skerry: "$home"
echo "Device $device is installed in $home."
start
exit 0
# What follows is the payload, a tar.gz.
