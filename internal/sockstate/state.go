package sockstate

import "strconv"

// State is a state of TCP, include/net/tcp_states.h.
type State uint8

// States are the names of the states, each at its number.
var States = [...]string{
	1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT",
	9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW_SYN_RECV",
}

// String is the state's name, as in the kernel without TCP_.
func (s State) String() string {
	if int(s) < len(States) && States[s] != "" {
		return States[s]
	}
	return strconv.Itoa(int(s))
}
