package guest

import (
	"encoding/json"
	"os"
	"time"
)

// Plan is what the guest's PID 1 does before it ends the guest: the steps one after the other, whatever their result.
type Plan struct {
	Modules []string // files of kernel modules, loaded in this order
	Steps   []Step
}

// Step is one program that the guest runs.
type Step struct {
	Name    string // on the console
	Argv    []string
	Dir     string
	Env     []string
	UID     int               // and group
	Sysctl  map[string]string // files below /proc/sys that are written first
	Timeout time.Duration     // after which it is killed, and has failed
}

// PlanFile is where a guest's plan is.
const PlanFile = "/plan.json"

// AddPlan adds a plan to the guest's files.
func (t Tree) AddPlan(p Plan) error {
	text, err := json.Marshal(p)
	t.Text(PlanFile, string(text))
	return err
}

// ReadPlan reads the plan in the guest.
func ReadPlan() (p Plan, err error) {
	text, err := os.ReadFile(PlanFile)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	return p, err
}
