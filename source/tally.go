package source

import (
	"time"

	"github.com/aem-exec/aem-exec/internal/timing"
)

// tallyWait is how long things of one kind are counted before they are told together.
const tallyWait = time.Second

// tally counts what may happen too often to be told each time.
type tally struct {
	n     int
	alarm timing.Alarm
}

// add counts one, and has the log tell of it, with those that follow.
func (t *tally) add(env Env, text string, attrs ...any) {
	if t.n++; t.alarm.Set() {
		return
	}
	env.Alarms.After(&t.alarm, tallyWait, func() {
		env.Log.Warn(text, append(attrs, "count", t.n)...)
		t.n = 0
	})
}

func (t *tally) stop() { t.alarm.Stop() }
