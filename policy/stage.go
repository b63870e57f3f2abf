package policy

import "fmt"

// Stage is when a filter is installed, and whether another one follows.
type Stage uint8

// The stages.
const (
	Only  Stage = iota // before the program begins, for good
	First              // before the program begins; Ready follows
	Ready              // when the handler is ready for events
)

// vital are the calls that a filter must let pass, by stage, and what would become of a handler without.
var vital = map[Stage][]struct{ call, consequence string }{
	Only: {
		{"execve", "the handler could never start"},
		{"exit_group", "the handler could never end"},
	},
	First: {
		{"execve", "the handler could never start"},
		{"exit_group", "the handler could never end"},
		{"seccomp", "the second filter could never be installed"},
	},
	Ready: {
		{"exit_group", "the handler could never end"},
	},
}

// checkVital refuses a profile under which no handler can run.
func (b *book) checkVital(s Stage) error {
	for _, v := range vital[s] {
		if b.denies(v.call) {
			return fmt.Errorf("seccomp denies %s: %s", v.call, v.consequence)
		}
	}
	return nil
}
