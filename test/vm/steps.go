package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/aem-exec/aem-exec/test/vm/guest"
)

// tests are tests of a package.
type tests struct {
	pkg       string
	run, skip string // patterns; empty: all, and none
	old       bool   // the oldest kernel may see them otherwise, too
}

// tested are the tests that guests run: those that another kernel may see otherwise. What only computes, and what is the
// supervisor's own doing on any kernel, would take many times as long in the emulator and tell nothing new.
var tested = []tests{
	{pkg: "internal/sys", old: true},
	{pkg: "internal/spawn", old: true},
	{pkg: "internal/audit"},
	{pkg: "internal/procwatch", old: true},
	{pkg: "internal/filewatch", run: "Whole", old: true},
	{pkg: "internal/sockstate"},
	{pkg: "limits", old: true},
	{pkg: "policy", skip: "TestLongProgram", old: true},
	{pkg: "directcopy", skip: "^TestGrow$", old: true},
	{pkg: "source", run: "ProcessExit|State_|FileFacts|Connector|KernelLacks|Pressure"},
	{pkg: "executor"},
	{pkg: "supervisor", run: contained, old: true},
	{pkg: "test/sdk", run: "^Test(SecondFilter|ArenaGrowsUnder|HandlersHaveNoOther|CopyOfTheContext|ZygoteUnderLimits|ForkThatIsRefused)"},
	{pkg: "test/attach", run: "^Test(ProgramRegisters|KilledProgram|ExecBetween|WhoMay|OwnSockets|Inheritance|HandlerAttaches)", old: true},
	{pkg: "test", run: "^TestAttacks|^TestMemoryRunsOut", old: true},
}

// contained are the supervisor's tests of what it has the kernel do: limits, confinement, copies, and lives of processes.
const contained = "^Test(EventsLargerThan|DeathAtGrowth|HandlerOfRoot|Confinement|NamespacesAre|OOMThat|OwnSignals|LimitsContain|Trap|" +
	"StuckCopy|FrozenApp|KilledHandlers|CopyThatSleeps|AnotherUser|DeadFileSystem|KernelsLimit|HandlerOfALimits|NoRoomForAProcess|LiarsAsZygotes|" +
	"ProcessesAreNever|LogOnly|HellosThatAreRefused|Zygote|ChildIsBorn|EchoThrough|FateOfEachEnd|SpawnFailure|UsageOfAnApp|" +
	"ReadySocket|DirectCopy|Pressure)"

// newSteps are all tests, and those of what depends on Yama, whose scope a kernel never takes back.
func newSteps() (steps []guest.Step) {
	for _, t := range tested {
		steps = append(steps, t.step())
	}
	return append(steps, yamaSteps()...)
}

func oldSteps() (steps []guest.Step) {
	for _, t := range tested {
		if t.old {
			steps = append(steps, t.step())
		}
	}
	return steps
}

func (t tests) step() guest.Step {
	return testStep(t.pkg, t.pkg, "-test.run="+t.run, "-test.skip="+t.skip)
}

// yamaSteps runs the test of copies under each scope of Yama but the one that it begins with, 0.
func yamaSteps() []guest.Step {
	var steps []guest.Step
	for _, scope := range []string{"1", "2", "3"} {
		for _, uid := range []int{0, 65534} {
			s := testStep(fmt.Sprintf("ptrace_scope %s as uid %d", scope, uid), "supervisor", "-test.run=^TestDirectCopyUnderYama$")
			s.UID, s.Sysctl = uid, map[string]string{"kernel/yama/ptrace_scope": scope}
			steps = append(steps, s)
		}
	}
	return steps
}

// slowness is how many times longer things may take in the emulator.
const slowness = "10"

// environment is that of every step.
var environment = []string{
	"PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root", "TMPDIR=/tmp", "AEM_IN_VM=1", "AEM_SLOW=" + slowness,
	"ZONEINFO=" + zoneInfo,
}

// testStep runs tests of a package, all of them without further arguments.
func testStep(name, pkg string, args ...string) guest.Step {
	const limit = 8 * time.Minute
	argv := []string{testBinary(pkg), "-test.v", fmt.Sprintf("-test.timeout=%v", limit-10*time.Second)}
	return guest.Step{Name: name, Dir: "/source/" + pkg, Argv: append(argv, args...), Env: environment, Timeout: limit}
}

// testBinary is the path in a guest of a package's tests.
func testBinary(pkg string) string { return "/tests/" + filepath.Base(pkg) + ".test" }
