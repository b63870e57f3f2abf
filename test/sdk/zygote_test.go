package sdk

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/policy"
	"github.com/aem-exec/aem-exec/source"
	"github.com/aem-exec/aem-exec/supervisor"
)

// eggs are the same zygote in each language.
var eggs = []struct {
	language
	source string
}{{c, "testdata/egg.c"}, {python, "testdata/egg.py"}}

// eachEgg runs a test with one zygote of each language, which takes as many events at once as come.
func eachEgg(t *testing.T, test func(t *testing.T, h executor.Spec)) {
	for _, egg := range eggs {
		t.Run(egg.name, func(t *testing.T) {
			aemtest.Require(t, egg.needs...)
			h := handler(t, executor.Zygote, egg.command(t, egg.source))
			h.Size, h.Concurrency = 1, 32
			test(t, h)
		})
	}
}

// told is what an egg tells of itself.
type told struct{ calls, warm, parent, pid int }

func parseTold(t *testing.T, text []byte) (e told) {
	t.Helper()
	if _, err := fmt.Sscan(string(text), &e.calls, &e.warm, &e.parent, &e.pid); err != nil {
		t.Fatalf("an egg told %q: %v", text, err)
	}
	return e
}

// count emits an event and returns what its process tells.
func (c client) count() told {
	c.t.Helper()
	return parseTold(c.t, c.emit([]byte("count")).Reply)
}

// lose emits an event that is to fail, and returns the letter.
func (c client) lose(data, reason string) control.Letter {
	c.t.Helper()
	if fate := c.emit([]byte(data)); fate.Outcome != "failed" || string(fate.Reason) != reason {
		c.t.Errorf("%s: fate %+v, want failed %s", data, fate, reason)
	}
	return c.lastLetter()
}

// spread emits events at once, each from a connection of its own, and returns their fates.
func (c client) spread(data ...string) []control.Fate {
	c.t.Helper()
	fates := make([]control.Fate, len(data))
	var all sync.WaitGroup
	for i, d := range data {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			conn, err := control.Dial(c.dir)
			if err != nil {
				c.t.Error(err)
				return
			}
			defer conn.Close()
			reply, err := conn.Do(ctx, control.Request{Op: control.OpEmit, Topic: "a/e", Data: []byte(d), Wait: true})
			if err == nil {
				var emitted control.Emitted
				if emitted, err = control.ResultOf[control.Emitted](reply); err == nil {
					fates[i] = emitted.Fates[0]
				}
			}
			if err != nil {
				c.t.Error(err)
			}
		})
	}
	all.Wait()
	return fates
}

func repeat(data string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = data
	}
	return all
}

// books are the job's counts.
func (c client) books() aem.Counts {
	c.t.Helper()
	return ask[[]aem.JobStatus](c, control.Request{Op: control.OpList})[0].Counts
}

// TestCopyOfTheContext_R071 sees in each copy what its zygote made before, and nothing that another copy did.
func TestCopyOfTheContext_R071(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		client := run(t, source.Topic{Name: "a/e"}, h)
		first := client.count()
		pids := map[int]bool{first.pid: true}
		for range 9 {
			got := client.count()
			if got.calls != 1 || got.warm != 42 || got.parent != first.parent || pids[got.pid] {
				t.Errorf("an egg told %+v after %+v", got, first)
			}
			pids[got.pid] = true
		}
		if n := strings.Count(client.log.String(), "warmed up"); n != 1 {
			t.Errorf("what the zygote had not written out is there %d times", n)
		}
	})
}

// TestChildsEndIsItsOwn has children crash, exit, run too long and fork, beside one that is not to notice.
func TestChildsEndIsItsOwn(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		h.Timeout, h.KillAfter, h.Retries = 500*time.Millisecond, 100*time.Millisecond, 1
		client := run(t, source.Topic{Name: "a/e"}, h)
		zygote := client.count().parent
		for range 3 {
			fates := client.spread("crash", "exit", "sleep", "nap", "fork", "nap")
			for i, want := range []string{"signal", "exit", "timeout", "", "", ""} {
				if string(fates[i].Reason) != want {
					t.Errorf("event %d: fate %+v, want %q", i, fates[i], want)
				}
			}
		}
		if got := client.count(); got.parent != zygote {
			t.Errorf("the zygote was %d and is %d", zygote, got.parent)
		}
		for _, want := range []struct{ data, reason, failure string }{
			{"crash", "signal", "signal=ABRT"}, {"exit", "exit", "exit=3"}, {"sleep", "timeout", "signal=TERM"}, {"deaf", "timeout", "signal=KILL"},
		} {
			if letter := client.lose(want.data, want.reason); letter.Attempts != 2 || !strings.Contains(letter.Failure, want.failure) {
				t.Errorf("%s: %+v", want.data, letter)
			}
		}
		books := client.books()
		if books.Detected != 24 || books.Done != 11 || books.Failed != 13 {
			t.Errorf("books %+v", books)
		}
	})
}

// TestManyChildrenAtOnce holds many connections open at once, all of one zygote, and ends them in the other order.
func TestManyChildrenAtOnce(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		addr := freeAddress(t)
		client := run(t, source.Accept{Listen: []source.Address{addr}}, h)
		var conns []net.Conn
		parents := map[int]bool{}
		for range h.Concurrency {
			conn, got := call(t, addr)
			conns = append(conns, conn)
			parents[got.parent] = true
			if got.calls != 1 || got.warm != 42 {
				t.Errorf("an egg told %+v", got)
			}
		}
		if len(parents) != 1 {
			t.Errorf("zygotes %v, want one", parents)
		}
		for i := len(conns) - 1; i >= 0; i-- {
			if err := hangUp(conns[i], 'b'); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		client.done(uint64(len(conns)))
		conn, _ := call(t, addr)
		hangUp(conn, 'x') //nolint:errcheck // it crashes
		for deadline := time.Now().Add(patience); client.books().Failed != 1; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("books %+v, want one failed", client.books())
			}
		}
		if letter := client.lastLetter(); letter.Attempts != 1 || !strings.Contains(letter.Failure, "reason=connection signal=ABRT") {
			t.Errorf("letter %+v", letter)
		}
	})
}

// call connects to an egg and returns what it tells.
func call(t *testing.T, addr source.Address) (net.Conn, told) {
	t.Helper()
	conn, err := net.Dial("tcp", addr.IP.String())
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(patience)))
	var line [100]byte
	n, err := conn.Read(line[:])
	check(t, err)
	return conn, parseTold(t, line[:n])
}

// hangUp says the last byte to an egg, and wants it and then the end back.
func hangUp(conn net.Conn, last byte) error {
	defer conn.Close()
	if _, err := conn.Write([]byte{last}); err != nil {
		return err
	}
	rest, err := io.ReadAll(conn)
	if err == nil && string(rest) != string(last) {
		err = fmt.Errorf("it said %q at the end", rest)
	}
	return err
}

// TestKilledZygoteLosesNothing kills the zygote again and again while events come: what it had not forked goes to the
// next one, what it had runs on.
func TestKilledZygoteLosesNothing_R093(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		client := run(t, source.Topic{Name: "a/e"}, h)
		const rounds, each = 6, 40
		for range rounds {
			zygote := client.count().parent
			fates := make(chan []control.Fate, 1)
			go func() { fates <- client.spread(repeat("nap", each)...) }()
			for client.books().Running < 3 {
				time.Sleep(time.Millisecond)
			}
			check(t, syscall.Kill(zygote, syscall.SIGKILL))
			for _, fate := range <-fates {
				if fate.Outcome != "done" {
					t.Errorf("fate %+v", fate)
				}
			}
		}
		if books := client.books(); books.Done != rounds*(each+1) || books.Detected != books.Done {
			t.Errorf("books %+v", books)
		}
	})
}

// TestChildrenOutliveTheirZygote has one that is killed leave children with connections, and two that end badly then.
func TestChildrenOutliveTheirZygote(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		addr := freeAddress(t)
		client := run(t, source.Accept{Listen: []source.Address{addr}}, h)
		var conns []net.Conn
		var zygote int
		for range 6 {
			conn, got := call(t, addr)
			conns, zygote = append(conns, conn), got.parent
		}
		check(t, syscall.Kill(zygote, syscall.SIGKILL))
		conn, got := call(t, addr)
		if got.parent == zygote {
			t.Errorf("the killed zygote %d has another child", zygote)
		}
		for i, conn := range append(conns, conn) {
			last := byte('b')
			if i < 2 {
				last = 'x'
			}
			if err := hangUp(conn, last); (err == nil) != (i >= 2) {
				t.Errorf("connection %d: %v", i, err)
			}
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			books := client.books()
			if books.Done == 5 && books.Failed == 2 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("books %+v", books)
			}
		}
	})
}

// TestLinesBelongToTheirEvents has many children write at once.
func TestLinesBelongToTheirEvents(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		client := run(t, source.Topic{Name: "a/e"}, h)
		const events = 60
		var all []string
		for i := range events {
			all = append(all, fmt.Sprintf("say %s %02d", []string{"no", "so"}[i%2], i))
		}
		client.spread(all...)
		ids := map[string]string{} // of events, by what they say
		line := regexp.MustCompile(`msg="(because of )?(say .. \d\d)" app=a handler=h stream=(stdout|stderr) event=e id=(\S+)`)
		waitFor(t, func() bool { return len(line.FindAllString(client.log.String(), -1)) == 2*events })
		for _, m := range line.FindAllStringSubmatch(client.log.String(), -1) {
			if id, known := ids[m[2]]; known && id != m[4] {
				t.Errorf("%q is put down to %s and %s", m[2], id, m[4])
			}
			ids[m[2]] = m[4]
		}
		if len(ids) != events {
			t.Errorf("%d events wrote", len(ids))
		}
	})
}

// TestStderrOfAFailureIsItsOwn has a child write before it fails, beside others.
func TestStderrOfAFailureIsItsOwn(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		h.Retries = 0
		client := run(t, source.Topic{Name: "a/e"}, h)
		client.spread("say so 1", "crash", "say so 2", "crash", "say so 3")
		for _, letter := range ask[[]control.Letter](client, control.Request{Op: control.OpDeadList, All: true}) {
			if strings.Contains(letter.Failure, "because") {
				t.Errorf("another's words: %s", letter.Failure)
			}
		}
	})
}

// TestLeftoversOfAChildAreKilled has one leave a process behind, which ends with it and not with the zygote.
func TestLeftoversOfAChildAreKilled(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		client := run(t, source.Topic{Name: "a/e"}, h)
		left, err := strconv.Atoi(string(client.emit([]byte("leave")).Reply))
		check(t, err)
		waitFor(t, func() bool {
			state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", left))
			return err != nil || strings.Contains(string(state), ") Z ")
		})
		if got := client.count(); got.calls != 1 {
			t.Errorf("an egg told %+v", got)
		}
	})
}

// TestZygoteWithThreads warns.
func TestZygoteWithThreads(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		h.Exec = append(h.Exec, "threads")
		client := run(t, source.Topic{Name: "a/e"}, h)
		client.count()
		waitFor(t, func() bool { return strings.Contains(client.log.String(), "aem: this zygote has 2 threads") })
	})
}

// TestZygotesSize has several zygotes share the work.
func TestZygotesSize(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		h.Size = 3
		client := run(t, source.Topic{Name: "a/e"}, h)
		parents := map[int]bool{}
		waitFor(t, func() bool {
			for _, fate := range client.spread(repeat("nap", 30)...) {
				parents[parseTold(t, fate.Reply).parent] = true
			}
			return len(parents) == 3
		})
	})
}

// TestZygoteUnderLimits has children run into their app's limits, and others that go on.
func TestZygoteUnderLimits(t *testing.T) {
	aemtest.Require(t, aemtest.Root)
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		h.Retries = 0
		deny, err := policy.FromOCI(&specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"personality"}, Action: specs.ActKillProcess}},
		})
		check(t, err)
		client := run(t, source.Topic{Name: "a/e"}, h, func(a *supervisor.App) {
			a.Limits.Memory, a.Limits.PIDs, a.Seccomp = 96<<20, 12, deny
		})
		zygote := client.count().parent
		if letter := client.lose("hog", "oom"); !strings.Contains(letter.Failure, "signal=KILL") {
			t.Errorf("letter %+v", letter)
		}
		if letter := client.lose("personality", "seccomp"); !strings.Contains(letter.Failure, "syscall=personality") {
			t.Errorf("letter %+v", letter)
		}
		for _, fate := range client.spread(repeat("nap", 40)...) { // of which 11 have room at once
			if fate.Outcome != "done" {
				t.Errorf("fate %+v", fate)
			}
		}
		if got := client.count(); got.parent != zygote {
			t.Errorf("the zygote was %d and is %d", zygote, got.parent)
		}
	})
}

// TestZygotesChildrenTakePlaces has no more of them at once than the app's processes leave them.
func TestZygotesChildrenTakePlaces(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		client := run(t, source.Topic{Name: "a/e"}, h, func(a *supervisor.App) { a.Limits.Processes = 4 }) // one is the zygote
		fates := make(chan []control.Fate, 1)
		go func() { fates <- client.spread(repeat("nap", 20)...) }()
		most := uint64(0)
		job, err := control.ParseSelectors([]string{"a/e"})
		check(t, err)
		waitFor(t, func() bool {
			books := client.books()
			most = max(most, books.Running)
			ask[[]control.Lookup](client, control.Request{Op: control.OpLookup, Selectors: job}) // also of children, which have no arena
			return books.Done == 20
		})
		if most != 3 {
			t.Errorf("%d ran at once, of 3 that may", most)
		}
		<-fates
	})
}

// TestForkThatIsRefused has a zygote that may not fork: that is no attempt, and it is tried again.
func TestForkThatIsRefused_R049(t *testing.T) {
	eachEgg(t, func(t *testing.T, h executor.Spec) {
		again := uint(syscall.EAGAIN)
		deny, err := policy.FromOCI(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"clone", "fork", "vfork"}, Action: specs.ActErrno, ErrnoRet: &again},
		}})
		check(t, err)
		client := run(t, source.Topic{Name: "a/e"}, h, func(a *supervisor.App) { a.Seccomp = deny })
		ask[control.Emitted](client, control.Request{Op: control.OpEmit, Topic: "a/e", Data: []byte("count")})
		waitFor(t, func() bool {
			return strings.Count(client.log.String(), `err="handler h: fork: resource temporarily unavailable"`) > 5
		})
		if books := client.books(); books.Failed != 0 || books.Waiting+books.Running != 1 {
			t.Errorf("books %+v", books)
		}
	})
}

// TestExamplesOfZygotes asks each of the two something twice, which only its preparations can answer.
func TestExamplesOfZygotes(t *testing.T) {
	t.Run("c", func(t *testing.T) {
		aemtest.Require(t, aemtest.CC)
		addr := freeAddress(t)
		run(t, source.Accept{Listen: []source.Address{addr}}, handler(t, executor.Zygote, c.command(t, "../../examples/handlers/prime-c/prime.c")))
		for _, question := range []struct{ ask, want string }{{"5\n", "11\n"}, {"1000000\n", "15485863\n"}, {"0\n", "want 1 to 1270607\n"}} {
			conn, err := net.Dial("tcp", addr.IP.String())
			check(t, err)
			_, err = io.WriteString(conn, question.ask)
			check(t, err)
			if got, err := io.ReadAll(conn); string(got) != question.want || err != nil {
				t.Errorf("%q: %q, %v", question.ask, got, err)
			}
			conn.Close()
		}
	})
	t.Run("python", func(t *testing.T) {
		aemtest.Require(t, aemtest.Python)
		h := handler(t, executor.Zygote, python.command(t, "../../examples/handlers/index-py/index.py"))
		delete(h.Env, "PYTHONPATH")
		client := run(t, source.Topic{Name: "a/e"}, h)
		for _, question := range []struct{ ask, want string }{{"popen", "subprocess"}, {"popen", "subprocess"}, {"xyzzyx", "none"}} {
			if got := client.emit([]byte(question.ask)).Reply; !strings.Contains(string(got), question.want) {
				t.Errorf("%s: %q", question.ask, got)
			}
		}
	})
}

// waitFor waits until something is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}
