package supervisor

import "github.com/aem-exec/aem-exec/aem"

// input is what happens to a job.
type input uint8

// The inputs.
const (
	toStart   input = iota // it is to detect
	toStop                 // it is not to
	toHold                 // there is a reason not to take more
	toRelease              // that reason is over
	toEnd                  // it runs once, and that has been
	inputs    = iota
)

// moves is the state machine of jobs: what an input does in each state. Held and failing differ in their reasons only, and
// both are left when the last reason is. A removed job has no state: nothing reaches it any more.
var moves = [...][inputs]func(*job, holds){
	aem.Stopped: {toStart: (*job).arm, toStop: stay, toHold: stay, toRelease: stay, toEnd: (*job).end},
	aem.Armed:   {toStart: stay, toStop: (*job).disarm, toHold: (*job).hold, toRelease: stay, toEnd: (*job).end},
	aem.Held:    {toStart: stay, toStop: (*job).disarm, toHold: (*job).hold, toRelease: (*job).release, toEnd: (*job).end},
	aem.Failing: {toStart: stay, toStop: (*job).disarm, toHold: (*job).hold, toRelease: (*job).release, toEnd: (*job).end},
	aem.Ended:   {toStart: (*job).arm, toStop: stay, toHold: stay, toRelease: stay, toEnd: stay},
}

// move does to a job what an input does, and reports whether that changed it.
func (j *job) move(in input, why holds) bool {
	before := *j
	moves[j.state()][in](j, why)
	return *j != before
}

func stay(*job, holds) {}

func (j *job) arm(holds)         { j.started, j.ended, j.holds = true, false, 0 }
func (j *job) disarm(holds)      { j.started, j.holds = false, 0 } // it is armed, and not held for ever, when it is started again
func (j *job) end(holds)         { j.started, j.ended, j.holds = false, true, 0 }
func (j *job) hold(why holds)    { j.holds |= why }
func (j *job) release(why holds) { j.holds &^= why }

// state is what the job does.
func (j *job) state() aem.State {
	switch {
	case j.ended:
		return aem.Ended
	case !j.started:
		return aem.Stopped
	case j.holds&(holdAgents|holdSource) != 0:
		return aem.Failing
	case j.holds != 0:
		return aem.Held
	}
	return aem.Armed
}
