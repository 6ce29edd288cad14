# Processes that outlive the script that starts them. Sourced by run and stop.
#
# $STATE holds NAME.pid (process id and start time of that process), NAME.log,
# the programs and their data. An id alone does not name a process, since the
# system gives ids again; with its start time it does.
case ${STATE_HOME:=/tmp} in
/*) ;;
*) STATE_HOME=$(pwd)/$STATE_HOME ;;
esac
STATE=$STATE_HOME/damrey-example-square-$(id -un)

# state_of PID prints the state and the start time of a process, or nothing.
state_of() {
	if [ -r /proc/self/stat ]; then
		# What follows the program's name in parentheses: field 1 is the state, field 20 the start time.
		sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 1,20
	else
		ps -o stat= -o lstart= -p "$1" 2>/dev/null | sed -e 's/^\(.\)[^ ]*/\1/'
	fi
}

# born PID prints the start time of a process that runs, or nothing.
born() {
	case $(state_of "$1") in
	Z*) ;;
	*) state_of "$1" | cut -d ' ' -f 2- ;;
	esac
}

# note NAME PID remembers a process. False when NAME stands there already.
note() {
	echo "$2 $(born "$2")" >"$STATE/$1.pid.$$"
	ln "$STATE/$1.pid.$$" "$STATE/$1.pid" 2>/dev/null || { rm -f "$STATE/$1.pid.$$"; return 1; }
	rm -f "$STATE/$1.pid.$$"
}

# running NAME prints the id of the process that was noted, if it still runs.
running() {
	[ -s "$STATE/$1.pid" ] || return 1
	read -r pid since <"$STATE/$1.pid" || return 1
	[ -n "$since" ] && [ "$(born "$pid")" = "$since" ] && echo "$pid"
}

# launch NAME COMMAND ARG… starts a process that goes on after this script.
launch() {
	name=$1
	shift
	nohup "$@" </dev/null >"$STATE/$name.log" 2>&1 &
	note "$name" $!
}

# terminate NAME ends a noted process: in order, and after 15 s the hard way.
terminate() {
	pid=$(running "$1") || { rm -f "$STATE/$1.pid"; return 0; }
	kill -TERM "$pid" 2>/dev/null
	tries=0
	while running "$1" >/dev/null; do
		tries=$((tries + 1))
		if [ "$tries" -eq 150 ]; then
			echo "$1 (process $pid) did not end within 15 s, so it was killed" >&2
			kill -KILL "$pid" 2>/dev/null
		fi
		blink
	done
	rm -f "$STATE/$1.pid"
}

# terminate_all ends all that run started, the workers first.
terminate_all() {
	for one in entry add square agent proxy; do
		terminate "$one"
	done
}

# blink waits a moment between two looks; not every sleep takes fractions.
blink() { sleep 0.1 2>/dev/null || sleep 1; }

# own_state makes sure that $STATE is a directory of this user's.
own_state() {
	if [ -z "$(find "$STATE" -prune -type d -user "$(id -u)" 2>/dev/null)" ]; then
		echo "$STATE is not a directory of yours; set STATE_HOME to a directory in which it can be one" >&2
		exit 1
	fi
}
