package sdk

import (
	"encoding/binary"
	"strings"
	"syscall"
	"testing"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/agenttest"
)

// sanitized is tell.c in a form that ends at the first access outside of what is there.
var sanitized = compile("testdata/tell.c", "cc", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

var sanitizers = aemtest.Feature{Name: "cc with sanitizers", Probe: func() error {
	_, err := sanitized()
	return err
}}

// FuzzC has the C SDK face a supervisor that sends any message, writes any bytes to the arena and the page, and is gone
// then: it ends by itself.
func FuzzC(f *testing.F) {
	aemtest.Require(f, aemtest.CC, sanitizers)
	program, err := sanitized()
	check(f, err)
	f.Add(append([]byte{2, 0, 255}, block("facts", 2, 1)...), false)
	f.Add(append([]byte{2, 0, 255}, block("facts", 1<<15, 9)...), false) // a fact longer than all facts
	f.Add([]byte{0, 5, 0, 0, 3, 4, 4, 1, 0, 0, 0}, false)
	f.Add([]byte{0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 96, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Add([]byte{0, 7, 1, 0, 0, 2, 0, 0}, false)
	f.Fuzz(func(t *testing.T, steps []byte, app bool) {
		cmd := command(t, []string{program, "8", "made"}[:2:2])
		if app {
			cmd = command(t, []string{program, "8", "made"})
		}
		cmd.Env = append(cmd.Env, "ASAN_OPTIONS=exitcode=99:detect_leaks=0", "UBSAN_OPTIONS=exitcode=99:print_stacktrace=1")
		a := agenttest.New(t, cmd, directcopy.Options{ArenaSize: 1 << 14, ArenaMax: 1 << 16, AppAlloc: app})
		page, err := syscall.Mmap(a.Box.Handler()[1], 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		check(t, err)
		defer syscall.Munmap(page)
		a.Start()
		a.Prove()
		assail(a, page, steps, app)
		a.Box.Close()
		status, wrote := a.Wait()
		if status != 0 && status != 1 && status != 3 || strings.Contains(wrote, "runtime error") { // 3: it was told to die
			t.Fatalf("exit status %d; the handler wrote: %s", status, wrote)
		}
	})
}

// assail does to a handler what the steps say: 3 bytes tell what and how much, and what is sent or written follows.
func assail(a *agenttest.Agent, page, steps []byte, app bool) {
	le, hello := binary.LittleEndian, a.Box.Hello()
	for messages := 0; len(steps) > 3 && messages < 20; { // more the channel does not hold
		op, at := steps[0]%4, int(steps[1])
		rest := steps[3:]
		bytes := rest[:min(int(steps[2]), len(rest))]
		steps = rest[len(bytes):]
		switch op {
		case 0: // a message of a kind; a GROW asks for no more than there may be
			header := le.AppendUint32(nil, 0x314d4541)
			header = le.AppendUint16(le.AppendUint16(header, 1), uint16(at%16))
			header = le.AppendUint32(le.AppendUint32(header, uint32(len(bytes))), uint32(len(bytes))<<8)
			syscall.Sendto(a.Box.Channel(), append(header, bytes...), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, nil)
			messages++
		case 1: // any bytes, but for a GROW
			if len(bytes) < 7 || bytes[6] != 7 {
				syscall.Sendto(a.Box.Channel(), bytes, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, nil)
			}
			messages++
		case 2: // a block where the first entry is, or elsewhere
			place := uint64(at * 64)
			directcopy.Write(a.Cmd.Process.Pid, hello.ArenaAddr+place, [][]byte{bytes})
			if app {
				place += hello.ArenaAddr
			}
			le.PutUint64(page[512:], place)
			le.PutUint32(page[520:], uint32(len(bytes)))
			le.PutUint32(page[64:], 1)
		case 3: // the page's words
			copy(page[at*16:], bytes)
		}
	}
}

// block is an event that says what to do, with a fact of name n, whose value is said to have v bytes.
func block(what string, v, n uint16) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x454d4541)
	b = le.AppendUint32(b, 96)
	for _, word := range []uint64{192, 0, 1, 2, 3, 0} {
		b = le.AppendUint64(b, word)
	}
	for _, word := range []uint32{1, 1, 10, 0, 1, 16} {
		b = le.AppendUint32(b, word)
	}
	b = le.AppendUint64(le.AppendUint64(b, 128), uint64(len(what)))
	b = le.AppendUint16(le.AppendUint16(b, n), v)
	b = append(b, make([]byte, 128-len(b))...)
	b = append(b, what...)
	return append(b, make([]byte, 192-len(b))...)
}
