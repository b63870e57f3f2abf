package supervisor

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Kinds of messages of a zygote and its children; docs/abi.md, section 10.
const (
	rawDescriptor                           = 3
	rawBorn, rawAnswer, rawEnded, rawUnborn = 8, 9, 10, 11
)

// What the environment of a zygote that lies, and of what it starts, names: the lie, where it is written down that it was
// told, and what a child is for. upFD is where a child says that it runs.
const (
	lieVariable  = "AEM_TEST_LIE"
	onceVariable = "AEM_TEST_ONCE"
	kidVariable  = "AEM_TEST_KID"
	upFD         = 4
)

// egg is a zygote that says what it likes, up to its first event.
func egg(r *raw) (number uint32) {
	r.flags = 1
	r.ready(64)
	n, _ := r.take()
	return uint32(n)
}

// kid starts a child, which does what kids says of an event. It is started by exec: what comes over the channel is the same.
func (r *raw) kid(what string, number uint32) *exec.Cmd {
	there, up, err := os.Pipe()
	must(err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "AEM_TEST_ROLE=kid", fmt.Sprintf("%s=%s %d", kidVariable, what, number))
	channel, err := syscall.Dup(rawChannel)
	must(err)
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(channel), ""), up}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	must(cmd.Start())
	up.Close()
	r.up = there
	r.hear() // it runs
	return cmd
}

// hear waits for a byte of the last child.
func (r *raw) hear() { r.up.Read(make([]byte, 1)) }

// bearing is born, and tells its zygote so.
func bearing(r *raw, n uint32) {
	r.send(rawBorn, n, nil)
	syscall.Write(upFD, []byte("!"))
	forever()
}

// done is the answer of a child that did it.
func (r *raw) done(number uint32) {
	words := make([]byte, rawAnswerSize)
	binary.LittleEndian.PutUint64(words, uint64(number))
	words[8] = 1
	r.send(rawAnswer, number, words)
}

// rich sends what it must not: descriptors.
func (r *raw) rich(kind uint16, number uint32) {
	must(syscall.Sendmsg(rawChannel, rawMessage(kind, number, nil), syscall.UnixRights(0, 1, 2), nil, 0))
}

// bury waits for a child when it is asked how it ended, and tells.
func (r *raw) bury(cmd *exec.Cmd) {
	number := r.receive(rawEnded)
	cmd.Wait()
	r.send(rawEnded, number, binary.LittleEndian.AppendUint64(nil, uint64(cmd.ProcessState.Sys().(syscall.WaitStatus))))
}

func forever() { time.Sleep(time.Hour) }

// parent is who started this process.
var parent = os.Getppid()

// playKid is the role of a child.
func playKid() {
	var what string
	var number uint32
	fmt.Sscan(os.Getenv(kidVariable), &what, &number)
	syscall.Write(upFD, []byte("!"))
	kids[what](new(raw), number)
}

var kids = map[string]func(r *raw, number uint32){
	"honest":   func(r *raw, n uint32) { r.send(rawBorn, n, nil); r.done(n) },
	"born":     bearing,
	"quits":    func(r *raw, n uint32) { r.send(rawBorn, n, nil) },
	"twice":    func(r *raw, n uint32) { r.send(rawBorn, n, nil); r.send(rawBorn, n, nil); forever() },
	"parent":   func(r *raw, n uint32) { r.kid("escapes", n); forever() },
	"escapes":  func(r *raw, n uint32) { escape(); r.send(rawBorn, n, nil); forever() },
	"rich":     func(r *raw, n uint32) { r.rich(rawBorn, n); r.done(n) },
	"unborn":   func(r *raw, n uint32) { r.send(rawUnborn, n, []byte{11, 0, 0, 0, 0, 0, 0, 0}); forever() },
	"garbage":  func(r *raw, n uint32) { r.send(rawBorn, n, nil); r.send(99, n, nil); forever() },
	"too-soon": func(r *raw, n uint32) { r.done(n); forever() },
	"late": func(r *raw, n uint32) { // when its parent has died, with all of its threads
		for os.Getppid() == parent {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		r.send(rawBorn, n, nil)
		r.done(n)
	},
}

// escape leaves the cgroup of the app, as root may, who owns the files of cgroups.
func escape() {
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if err := os.WriteFile(root+"/cgroup.procs", []byte("0"), 0); err == nil {
			return
		}
	}
}

// playZygote is the role of a zygote that lies, when it has an event or says hello.
func playZygote() { zygoteLies[os.Getenv(lieVariable)](newRaw(1 << 16)) }

var zygoteLies = map[string]func(r *raw){
	"flags":      func(r *raw) { r.flags = 1 | 1<<31; r.ready(64); forever() },
	"no flags":   func(r *raw) { r.ready(64); forever() },
	"no birth":   func(r *raw) { egg(r); forever() },
	"no child":   func(r *raw) { n := egg(r); r.send(rawBorn, n, nil); forever() },
	"grandchild": bears("parent"),
	"twice":      bears("twice"),
	"unborn":     bears("unborn"),
	"garbage":    bears("garbage"),
	"too soon":   bears("too-soon"),
	"no end":     bears("quits"),
	"unasked":    func(r *raw) { n := egg(r); r.send(rawEnded, n, make([]byte, 8)); forever() },
	"answers": func(r *raw) {
		n := egg(r)
		r.kid("born", n)
		r.hear()
		r.done(n)
		forever()
	},
	"no status": func(r *raw) {
		n := egg(r)
		r.kid("quits", n)
		r.send(rawEnded, r.receive(rawEnded), []byte{0x7f, 0, 0, 0, 0, 0, 0, 0})
		forever()
	},
	"reaps": func(r *raw) {
		n := egg(r)
		fmt.Println("the loop may sleep")
		time.Sleep(100 * time.Millisecond)
		r.kid("quits", n).Wait()
		forever()
	},
	"rich": func(r *raw) { n := egg(r); r.bury(r.kid("rich", n)); forever() },
	"dies": func(r *raw) { // before it takes its event
		r.flags = 1
		r.ready(64)
		r.receive(rawDescriptor)
		once()
		n, _ := r.take()
		r.bury(r.kid("honest", uint32(n)))
		forever()
	},
	"dies instead":  func(r *raw) { egg(r); once(); forever() },
	"dies by birth": func(r *raw) { n := egg(r); r.kid("late", n); once(); forever() },
}

// bears has a child, and nothing more.
func bears(what string) func(r *raw) {
	return func(r *raw) {
		n := egg(r)
		r.kid(what, n)
		forever()
	}
}

// once ends the first zygote that comes here.
func once() {
	f, err := os.OpenFile(os.Getenv(onceVariable), os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		f.Close()
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		forever()
	}
}
