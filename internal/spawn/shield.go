package spawn

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aem-exec/aem-exec/internal/sys"
)

// Until a new process has executed its program it shares our memory, and when the kernel ends it for want of memory, it
// ends us too (mm/oom_kill.c, __oom_kill_process). The kernel does not choose a child of vfork; but execve stops being
// one a moment before it gives up the memory (fs/exec.c, exec_mmap: exec_mm_release comes first), and then counts all
// that we have as the child's, which makes it the largest; and clone has it in its cgroup a moment before it is a child of
// vfork (kernel/fork.c, kernel_clone). A shielded process begins with the oom_score_adj that forbids to choose it, and is
// given its own when its memory is its own. It has it from birth if we have it ourselves (ShieldSelf), else from a step on.
const (
	shieldScore = "-1000" // OOM_SCORE_ADJ_MIN, linux/oom.h

	settleWait   = 5 * time.Second // for the memory of a process that vfork has let go
	settlePoll   = 50 * time.Microsecond
	shieldPasses = 64 // over a group whose processes fork meanwhile: it takes as many generations to outrun it
)

// Shields reports whether this process may shield those that it makes.
func Shields() (bool, error) {
	we, err := readSelf()
	return we.shields(), err
}

// shields: nobody else may lower a score (man 5 proc_pid_oom_score_adj), and the file is root's where a process is not
// dumpable.
func (we *self) shields() bool { return we.capEff&(1<<sys.CAP_SYS_RESOURCE) != 0 && we.uids[1] == 0 }

// startScore is the score that this process had when somebody first asked.
var startScore = sync.OnceValues(readScore)

func readScore() (string, error) {
	text, err := os.ReadFile(oomScoreFile)
	return strings.TrimSpace(string(text)), err
}

// ShieldSelf keeps the kernel from choosing this process, where we may say so. Processes that are made here have the score
// that this process had before; what it makes in another way inherits ours, until GiveScore.
func ShieldSelf() error {
	may, err := Shields()
	if err != nil || !may {
		return err
	}
	if _, err := startScore(); err != nil {
		return err
	}
	return os.WriteFile(oomScoreFile, []byte(shieldScore), 0)
}

// GiveScore gives a process the score that this one had before it was shielded.
func GiveScore(pid int) error {
	score, err := startScore()
	if err != nil {
		return err
	}
	return setScore(pid, []byte(score))
}

// setScore has the process begin with the score that it is to have, or with the one that shields it.
func (p *Plan) setScore(s *Spec, we self) error {
	first, err := startScore()
	if err != nil {
		return err
	}
	if s.OOMScoreAdj != nil {
		first = strconv.Itoa(*s.OOMScoreAdj)
	}
	if s.Shield && first != shieldScore && we.shields() {
		p.ownScore, first = []byte(first), shieldScore
	}
	if now, err := readScore(); err != nil || now == first {
		return err
	}
	p.oom, p.oomFile = []byte(first), terminate(oomScoreFile)
	return nil
}

// unshield gives the process its own score, and what it has forked in its group by now.
func (m *Maker) unshield(p *Plan, pid, group int) error {
	if err := m.Settle(pid); err != nil {
		return err
	}
	if err := setScore(pid, p.ownScore); err != nil || group <= 0 {
		return err
	}
	members := "/proc/self/fd/" + strconv.Itoa(group) + "/cgroup.procs"
	done := map[string]bool{strconv.Itoa(pid): true}
	for range shieldPasses {
		text, err := os.ReadFile(members)
		if err != nil {
			return err
		}
		before := len(done)
		for _, member := range strings.Fields(string(text)) {
			if done[member] {
				continue
			}
			done[member] = true
			n, err := strconv.Atoi(member)
			if err == nil {
				err = setScore(n, p.ownScore)
			}
			if err != nil {
				return err
			}
		}
		if len(done) == before {
			return nil
		}
	}
	return fmt.Errorf("set oom_score_adj: the group of process %d still forks after %d passes", pid, shieldPasses)
}

// setScore sets the score of a process, if it lives still.
func setScore(pid int, score []byte) error {
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err == nil {
		_, err = syscall.Write(fd, score)
		sys.Close(fd)
	}
	if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Settle waits until a process that was made here has memory of its own: vfork lets its parent go on a little before.
func (m *Maker) Settle(pid int) error {
	for deadline := time.Now().Add(settleWait); m.shares(pid); time.Sleep(settlePoll) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d has no memory of its own after %v", pid, settleWait)
		}
	}
	return nil
}

// shares writes into a process where we have a byte, and reports whether the byte has changed here: into memory that is
// ours the kernel lets us write without a permission (man 2 process_vm_writev).
func (m *Maker) shares(pid int) bool {
	one, b := byte(1), &m.list.shared
	*b = 0
	sys.ProcessVMWritev(pid, []sys.Iovec{{Base: &one, Len: 1}}, []sys.RemoteIovec{{Base: address(b), Len: 1}}) //nolint:errcheck // only what it did here counts
	return *b != 0
}
