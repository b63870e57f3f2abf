package supervisor

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// liar is a handler that breaks the rules of the page, the channel or its own memory. A process of its own plays it.
type liar struct {
	name   string
	lie    func(r *raw)
	reason aem.Reason // why its event failed; none: it is done
	report string     // in the failure, or in the log where the event is done
	data   int        // bytes of its event
	needs  []aemtest.Feature
}

const page = 4096

// helloLiars lie before they are believed anything. Each is made for its event.
var helloLiars = []liar{
	{name: "arena in unmapped memory", lie: greetsAt(func() uint64 { b := mapped(page, syscall.PROT_NONE); syscall.Munmap(b); return at(b) }),
		reason: "channel", report: "prove arena: write to process"},
	{name: "arena in read-only memory", lie: greetsAt(func() uint64 { return at(mapped(page, syscall.PROT_READ)) }), reason: "channel", report: "bad address"},
	{name: "arena without access", lie: greetsAt(func() uint64 { return at(mapped(page, syscall.PROT_NONE)) }), reason: "channel", report: "bad address"},
	{name: "arena in its own code", lie: greetsAt(func() uint64 { return codeOf(greetsAt) }), reason: "channel", report: "bad address"},
	{name: "arena in the kernel", lie: greetsAt(func() uint64 { return 0xffff_8000_0000_0000 }), reason: "channel", report: "no arena can be"},
	{name: "arena that it does not read", lie: func(r *raw) {
		r.greet(at(mapped(page, syscall.PROT_READ|syscall.PROT_WRITE)), page, uint32(os.Getpid()), 1)
		r.receive(rawNonce)
		r.send(rawNonce, 0, r.arena[:16])
	}, reason: "channel", report: "found other bytes there"},
	{name: "arena beyond the limit", lie: func(r *raw) { r.greet(at(r.arena), 1<<31+page, uint32(os.Getpid()), 1) }, reason: "channel", report: "no arena can be 0x80001000 bytes"},
	{name: "arena of nothing", lie: func(r *raw) { r.greet(at(r.arena), 0, uint32(os.Getpid()), 1) }, reason: "channel", report: "no arena can be"},
	{name: "65 in flight", lie: func(r *raw) { r.greet(at(r.arena), page, uint32(os.Getpid()), 65) }, reason: "channel", report: "65 events in flight"},
	{name: "another's pid", lie: func(r *raw) { r.greet(at(r.arena), page, 1, 1) }, reason: "channel", report: "hello from process 1, but"},
	{name: "hello of a child", lie: func(*raw) { bear(0) }, reason: "channel", report: "the handler must be exec'ed, not forked"},
	{name: "hello from a pid namespace", lie: func(*raw) { bear(syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID) }, needs: []aemtest.Feature{pidNamespaces},
		reason: "channel", report: "hello from process 1, but"},
	{name: "answer before the hello", lie: func(r *raw) { r.answer(0, 1); r.ready(1) }, reason: "channel", report: "1 answers to 0 events"},
	{name: "reply before the hello", lie: func(r *raw) { r.send(rawReply, 0, []byte("pong")) }, reason: "channel", report: "reply is not for now"},
	{name: "nonce unasked", lie: func(r *raw) { r.send(rawNonce, 0, make([]byte, 16)) }, reason: "channel", report: "nonce is not for now"},
}

// greetsAt says hello with a page somewhere.
func greetsAt(where func() uint64) func(*raw) {
	return func(r *raw) {
		r.greet(where(), page, uint32(os.Getpid()), 1)
		r.receive(rawNonce)
	}
}

// codeOf is where a function's page begins.
func codeOf(f any) uint64 {
	type word struct{ _, code *uintptr }
	return uint64(*(*word)(unsafe.Pointer(&f)).code) &^ (page - 1)
}

// bear has a child say hello, which has all that its parent was given.
func bear(namespaces uintptr) {
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), "AEM_TEST_ROLE=child")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	for fd := rawChannel; fd <= rawAnswers; fd++ {
		child.ExtraFiles = append(child.ExtraFiles, os.NewFile(uintptr(fd), ""))
	}
	must(child.Start())
	child.Wait()
}

// pidNamespaces is that a process without any right may have one of its own.
var pidNamespaces = aemtest.Feature{Name: "namespaces without rights", Probe: func() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID}
	return cmd.Run()
}}

// liars are residents: they lie when they have an event, or when they have said hello.
var liars = []liar{
	{name: "arena taken away", lie: spoils(func(r *raw) { must(syscall.Munmap(r.arena)) }), reason: "channel", report: "bad address"},
	{name: "arena made read-only", lie: spoils(func(r *raw) { must(syscall.Mprotect(r.arena, syscall.PROT_READ)) }), reason: "channel", report: "0 of "},
	{name: "arena with a hole", lie: spoils(func(r *raw) { must(syscall.Mprotect(r.arena[page:2*page], syscall.PROT_NONE)) }), data: 3 * page,
		reason: "channel", report: "4096 of "},
	{name: "another program after the hello", lie: becomesAnother, reason: "channel", report: "bad address"},
	{name: "another program with the event", lie: takes(func(r *raw, _ uint64) { must(syscall.Exec("/bin/sleep", []string{"sleep", "60"}, nil)) }),
		reason: "timeout", report: "it ran longer than"},
	{name: "death in the middle of a copy", lie: diesInCopy, data: 48 << 20, reason: "exit", report: "exit=5"},
	{name: "death at a larger arena", lie: grows(func(*raw, uint32) { os.Exit(3) }), data: 2 << 20,
		reason: "hello", report: "it was asked for a larger arena, for an event of"},
	{name: "no larger arena", lie: grows(func(*raw, uint32) { time.Sleep(time.Hour) }), data: 2 << 20, reason: "hello", report: "it said no hello within"},
	{name: "smaller arena", lie: grows(func(r *raw, _ uint32) { r.ready(1) }), data: 2 << 20, reason: "channel", report: "an arena of 1048576 bytes, want one of 4194304"},

	{name: "answer to no event", lie: takes(func(r *raw, n uint64) { r.answer(n+1, 1) }), reason: "channel", report: "event 1, which the handler never had"},
	{name: "two answers", lie: takes(func(r *raw, n uint64) { r.word(rawAnswered).Add(1); r.answered++; r.answer(n, 1) }), reason: "channel", report: "2 answers to 1 events"},
	{name: "answer twice", lie: takes(func(r *raw, n uint64) { r.answer(n, 1); r.read(); r.answer(n, 1) }), report: "1 answers to 0 events"},
	{name: "outcome 9", lie: takes(func(r *raw, n uint64) { r.answer(n, 9) }), reason: "channel", report: "event 0 has the outcome 9"},
	{name: "reserved bits", lie: takes(func(r *raw, n uint64) { r.answer(n, 1, 0, 0, 1) }), reason: "channel", report: "reserved bits set"},
	{name: "text that was not sent", lie: takes(func(r *raw, n uint64) { r.answer(n, 3, 9) }), reason: "channel", report: "a text of 0 bytes"},
	{name: "reply that was not sent", lie: takes(func(r *raw, n uint64) { r.answer(n, 1, 0, 9) }), reason: "channel", report: "a reply of 0, and not of 0 and 9"},
	{name: "countless answers", lie: takes(func(r *raw, _ uint64) { r.tell(1000) }), reason: "channel", report: "1000 answers to 1 events"},
	{name: "page of ones", lie: takes(func(r *raw, _ uint64) { fill(r.page, 0xff); r.ring() }), reason: "channel", report: "4294967295 answers to 1 events"},
	{name: "page of zeros", lie: takes(func(r *raw, n uint64) { fill(r.page, 0); r.answer(n, 1) })},
	{name: "page of noise", lie: takes(noise), reason: "exit", report: "exit=6"},
	{name: "more taken than given", lie: takes(func(r *raw, _ uint64) { r.word(rawTaken).Store(77); os.Exit(4) }), reason: "exit", report: "exit=4"},

	{name: "garbage", lie: takes(func(r *raw, _ uint64) { syscall.Write(rawChannel, []byte("GET / HTTP/1.1\r\n")) }), reason: "channel", report: "read message: magic"},
	{name: "message of no kind", lie: takes(func(r *raw, _ uint64) { r.send(99, 0, nil) }), reason: "channel", report: "message kind 99 is not for now"},
	{name: "message of 60000 bytes", lie: takes(func(r *raw, _ uint64) { r.send(rawError, 0, make([]byte, 60_000)) }), reason: "channel", report: "longer than"},
	{name: "hello again", lie: takes(func(r *raw, _ uint64) { r.ready(1) }), reason: "channel", report: "hello is not for now"},
	{name: "place for nothing", lie: takes(func(r *raw, _ uint64) { r.send(rawPlace, 0, make([]byte, 8)) }), reason: "channel", report: "place is not for now"},
	{name: "text of no event", lie: takes(func(r *raw, _ uint64) { r.send(rawError, 5, []byte("why")) }), reason: "channel", report: "error of event 5, which"},
	{name: "endless reply", lie: takes(func(r *raw, _ uint64) {
		for {
			r.send(rawReply, 0, make([]byte, page))
		}
	}), reason: "channel", report: "longer than 1048576 bytes"},
	{name: "descriptors sent to us", lie: takes(sendsDescriptors), reason: "handler", report: "err=why"},

	{name: "a doorbell without end", lie: takes(storm(func(r *raw) { r.ring() }))},
	{name: "sleeps without end", lie: takes(storm(func(r *raw) { r.word(rawSleeps).Store(1) }))},
	{name: "keeps the supervisor asleep", lie: takes(func(r *raw, n uint64) {
		r.word(rawSupervisor).Store(0)
		binary.LittleEndian.PutUint64(r.page[rawAnswerRing:], n)
		binary.LittleEndian.PutUint64(r.page[rawAnswerRing+8:], 1)
		r.word(rawAnswered).Store(1) // and nobody is told: it is found when the time is over
	})},
	{name: "undumpable", lie: func(r *raw) {
		syscall.Syscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
		takes(func(r *raw, n uint64) { r.answer(n, 1) })(r)
	}, needs: []aemtest.Feature{aemtest.Root}},
}

// takes lies when it has taken its event.
func takes(lie func(r *raw, number uint64)) func(*raw) {
	return func(r *raw) {
		r.ready(1)
		number, _ := r.take()
		lie(r, number)
	}
}

// spoils does something to the arena that was just proved.
func spoils(arena func(r *raw)) func(*raw) {
	return func(r *raw) {
		r.greet(at(r.arena), uint64(len(r.arena)), uint32(os.Getpid()), 1)
		r.receive(rawNonce)
		nonce := string(r.arena[:16])
		arena(r)
		r.send(rawNonce, 0, []byte(nonce))
	}
}

// becomesAnother tells the nonce when it is another program, which has nothing where the arena was.
func becomesAnother(r *raw) {
	const nobodys = 0x2000_0000_0000 // far from all that is mapped by itself
	where, _, errno := syscall.Syscall6(syscall.SYS_MMAP, nobodys, page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_FIXED, ^uintptr(0), 0)
	if errno != 0 {
		panic(errno)
	}
	r.greet(uint64(where), page, uint32(os.Getpid()), 1)
	r.receive(rawNonce)
	nonce := unsafe.Slice(*(**byte)(unsafe.Pointer(&where)), 16)
	octal := ""
	for _, b := range rawMessage(rawNonce, 0, nonce) {
		octal += fmt.Sprintf(`\%03o`, b)
	}
	must(syscall.Exec("/bin/sh", []string{"sh", "-c", "printf '" + octal + "' >&3; exec sleep 60"}, nil))
}

// diesInCopy ends when a part of its event is there.
func diesInCopy(r *raw) {
	r.arena = mapped(64<<20, syscall.PROT_READ|syscall.PROT_WRITE)
	r.ready(1)
	for first := (*byte)(unsafe.Pointer(&r.arena[2<<20])); *first == 0; time.Sleep(0) {
	}
	os.Exit(5)
}

// grows lies when it is asked for a larger arena.
func grows(lie func(r *raw, size uint32)) func(*raw) {
	return func(r *raw) {
		r.ready(1)
		lie(r, r.receive(rawGrow))
	}
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

// noise writes anything anywhere for a while.
func noise(r *raw, _ uint64) {
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		at := rand.IntN(len(r.page)/4) * 4
		if at != rawAnswered { // which would be a lie at once
			r.word(at).Store(rand.Uint32())
		}
		r.ring()
	}
	os.Exit(6)
}

// read waits until the supervisor has read what was answered.
func (r *raw) read() {
	for r.word(rawSupervisor).Store(0); r.word(rawSupervisor).Load() == 0; r.ring() {
	}
}

// sendsDescriptors says why its event fails, with descriptors beside the text. That they are not kept NoLeaks sees.
func sendsDescriptors(r *raw, number uint64) {
	rights := syscall.UnixRights(0, 1, 2)
	must(syscall.Sendmsg(rawChannel, rawMessage(rawError, uint32(number), []byte("why")), rights, nil, 0))
	r.answer(number, 3, 3)
}

// storm does something without end for a while, and answers then.
func storm(what func(r *raw)) func(*raw, uint64) {
	return func(r *raw, number uint64) {
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
			what(r)
		}
		r.answer(number, 1)
	}
}

// playLiar plays the liar of a name.
func playLiar(name string) {
	for _, all := range [][]liar{helloLiars, liars} {
		for _, l := range all {
			if l.name == name {
				l.lie(newRaw(1 << 20))
				time.Sleep(time.Hour)
			}
		}
	}
}

// TestLiars_R043_R087 has handlers lie in every way: each is told of, its event gets its fate, and those of another app are
// as fast as ever.
func TestLiars_R043_R087(t *testing.T) {
	for life, all := range map[executor.Life][]liar{executor.Cold: helloLiars, executor.Resident: liars} {
		for _, l := range all {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				aemtest.Require(t, l.needs...)
				h := role(t, "liar "+l.name)
				h.Life, h.Size, h.Retries, h.ArenaSize = life, 1, 0, 1<<20
				h.Timeout, h.ReadyTimeout, h.KillAfter = aemtest.Slow(6*time.Second), aemtest.Slow(6*time.Second), 100*time.Millisecond
				good := role(t, "done")
				good.Life, good.Size = executor.Resident, 1
				r := startRun(t, nil, topicApp(h), testApp("good", []executor.Spec{good}, event("t", source.Topic{Name: "good/t"}, "h")))
				r.ask(func() { r.publish("a/t", []byte(strings.Repeat("x", l.data))) })
				for range 10 {
					began := time.Now()
					if fate := r.emit("good/t", ""); fate.Outcome != "done" || time.Since(began) > aemtest.Slow(4*time.Second) {
						t.Errorf("the other app: %s after %v", fate.Outcome, time.Since(began))
					}
				}
				books := r.until("a/t", "ended", func(c aem.Counts) bool { return c.Done+c.Failed == 1 })
				if l.reason == "" {
					if books.Done != 1 {
						t.Errorf("books %+v", books)
					}
					r.logged(l.report)
					return
				}
				letters := r.dead.match(func(*letter) bool { return true })
				if len(letters) != 1 || letters[0].Attempts != 1 || letters[0].Reason != l.reason || !strings.Contains(letters[0].Failure, l.report) {
					t.Errorf("letters %+v, want one attempt, %s, %q", letters, l.reason, l.report)
				}
			})
		}
	}
}
