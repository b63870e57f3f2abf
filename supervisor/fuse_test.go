package supervisor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/executor"
	hd "github.com/aem-exec/aem-exec/handler"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/source"
)

// The file system of one file whose pages never come: a server that is dead and has not
// ended. It is mounted in the mount namespace of its process, who gives the file to whoever connects to its socket.
const (
	fuseFolder = "AEM_TEST_FUSE" // variable: where it is mounted, and where its socket lies
	fuseSize   = 1 << 20
	fuseFile   = 2 // its inode; the folder's is 1
)

// What the kernel asks for, include/uapi/linux/fuse.h.
const (
	fuseLookup, fuseForget, fuseGetattr, fuseOpen, fuseRead = 1, 2, 3, 14, 15
	fuseInit, fuseInterrupt                                 = 26, 36
	fuseInHeader                                            = 40
)

// serveDeadFiles is the role of the server. It ends with its standard input, which whoever started it holds.
func serveDeadFiles() {
	go func() {
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	folder := os.Getenv(fuseFolder)
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	must(err)
	mount := filepath.Join(folder, "mount")
	must(syscall.Mount("dead", mount, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, "fd="+itoa(int64(device))+",rootmode=40000,user_id=0,group_id=0,allow_other"))
	go func() {
		for request := make([]byte, 1<<20); ; {
			n, err := syscall.Read(device, request)
			must(err)
			if reply := fuseReply(request[:n]); reply != nil {
				syscall.Write(device, reply) // a request may be gone by now
			}
		}
	}()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "socket")})
	must(err)
	os.Stdout.WriteString("ready\n") // the socket's name is there a little before who connects is heard
	for {
		c, err := l.AcceptUnix()
		must(err)
		file, err := syscall.Open(filepath.Join(mount, "file"), syscall.O_RDWR, 0)
		must(err)
		_, _, err = c.WriteMsgUnix([]byte{1}, syscall.UnixRights(file), nil)
		must(err)
		syscall.Close(file)
		c.Close()
	}
}

// fuseReply answers a request, nil for those that have no answer, and never get one.
func fuseReply(request []byte) []byte {
	le := binary.LittleEndian
	var body []byte
	status := int32(0)
	switch le.Uint32(request[4:]) {
	case fuseInit:
		body = le.AppendUint32(le.AppendUint32(nil, 7), 31) // the protocol; the rest may stay at nothing: no readahead, say
		body = append(body, make([]byte, 56)...)
		le.PutUint32(body[20:], 4096) // max_write
	case fuseLookup:
		body = append(le.AppendUint64(nil, fuseFile), make([]byte, 32)...)
		body = append(body, fuseAttributes(fuseFile)...)
	case fuseGetattr:
		body = append(make([]byte, 16), fuseAttributes(le.Uint64(request[16:]))...)
	case fuseOpen:
		body = make([]byte, 16)
	case fuseRead, fuseForget, fuseInterrupt: // no page ever comes
		return nil
	default:
		status = -int32(syscall.ENOSYS)
	}
	reply := le.AppendUint32(nil, uint32(16+len(body)))
	reply = le.AppendUint32(reply, uint32(status))
	return append(append(reply, request[8:16]...), body...)
}

// fuseAttributes is struct fuse_attr of the folder or the file.
func fuseAttributes(inode uint64) []byte {
	b := make([]byte, 88)
	le := binary.LittleEndian
	le.PutUint64(b, inode)
	le.PutUint32(b[60:], syscall.S_IFDIR|0o755)
	if inode == fuseFile {
		le.PutUint64(b[8:], fuseSize)
		le.PutUint32(b[60:], syscall.S_IFREG|0o644)
	}
	le.PutUint32(b[64:], 1)
	return b
}

// deadPages is the role of a handler whose arena is such a file. When there is no server any more it is an honest one.
func deadPages() {
	c, err := net.Dial("unix", filepath.Join(os.Getenv(fuseFolder), "socket"))
	if errors.Is(err, syscall.ECONNREFUSED) {
		hd.Run(func(context.Context, *hd.Event) error { return nil })
		os.Exit(0)
	}
	must(err)
	rights := make([]byte, 64)
	_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), rights)
	must(err)
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	must(err)
	files, err := syscall.ParseUnixRights(&messages[0])
	must(err)
	arena, err := syscall.Mmap(-1, 0, fuseSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	must(err)
	dead := arena[page:] // the first page is not the file's: how much of it comes with another is the kernel's to choose
	_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, uintptr(unsafe.Pointer(&dead[0])), uintptr(len(dead)),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_FIXED, uintptr(files[0]), page)
	if errno != 0 {
		panic(errno)
	}
	r := newRaw(page)
	r.arena = arena
	r.ready(1)
	time.Sleep(time.Hour)
}

var fuse = aemtest.Feature{Name: "FUSE", Probe: func() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}}

// startDeadFiles starts the server, and returns its folder and what ends it.
func startDeadFiles(t *testing.T) (folder string, end func()) {
	t.Helper()
	folder = t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "mount"), 0o755); err != nil {
		t.Fatal(err)
	}
	var wrote bytes.Buffer
	server := exec.Command("/proc/self/exe")
	server.Env = append(os.Environ(), "AEM_TEST_ROLE=dead files", fuseFolder+"="+folder)
	server.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	server.Stderr = &wrote
	ready, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = server.StdinPipe(); err != nil { // no Pdeathsig: that is sent when the thread ends that started it
		t.Fatal(err)
	}
	if err = server.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		if server.ProcessState == nil {
			server.Process.Kill()
			server.Wait()
		}
	}
	t.Cleanup(end)
	if n, err := ready.Read(make([]byte, 16)); n == 0 {
		end()
		t.Fatalf("the file system is not there: %v; its server wrote: %s", err, wrote.String())
	}
	return folder, end
}

// TestDeadFileSystemStopsNobodyElse_R087 has a handler whose arena lies in a file whose server is dead: the thread that
// writes there is held until the server ends, and until then its app gets no other.
func TestDeadFileSystemStopsNobodyElse_R087(t *testing.T) {
	aemtest.Require(t, aemtest.Root, fuse)
	for name, size := range map[string]int{"on the loop": inlineBytes / 4, "on a thread of its own": 2 * inlineBytes} {
		t.Run(name, func(t *testing.T) {
			folder, end := startDeadFiles(t)
			h := role(t, "dead pages")
			h.Retries, h.Env[fuseFolder] = 0, folder
			r := startRun(t, nil, topicApp(h), testApp("good", []executor.Spec{role(t, "done")}, event("t", source.Topic{Name: "good/t"}, "h")))
			good := func() {
				t.Helper()
				began := time.Now()
				if fate := r.emit("good/t", ""); fate.Outcome != "done" || time.Since(began) > aemtest.Slow(4*time.Second) {
					t.Errorf("the other app: %s after %v", fate.Outcome, time.Since(began))
				}
			}
			good()
			r.ask(func() { r.publish("a/t", make([]byte, size)) })
			for deadline := time.Now().Add(patience); r.counts("a/t").Failed == 0; good() {
				if time.Now().After(deadline) {
					t.Fatal("the event has no fate")
				}
			}
			letters := r.dead.match(func(*letter) bool { return true })
			if len(letters) != 1 || letters[0].Reason != aem.ReasonChannel || !strings.Contains(letters[0].Failure, "a copy into its memory did not return") {
				t.Errorf("report %+v", letters[0])
			}

			// The handler is dead, and its death frees nobody: the next event of the app waits.
			r.ask(func() { r.publish("a/t", nil) })
			for range 10 {
				good()
			}
			if c, held := r.counts("a/t"), r.watch.parked.Load(); held != 1 || c.Waiting != 1 || c.Running != 0 {
				t.Errorf("%d threads are held, books %+v", held, c)
			}
			end()
			r.until("a/t", "done", func(c aem.Counts) bool { return c.Done == 1 })
			if held := r.watch.parked.Load(); held != 0 {
				t.Errorf("%d threads are held after the end", held)
			}
			good()
		})
	}
}
