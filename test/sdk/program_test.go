package sdk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/directcopy"
	"github.com/aem-exec/aem-exec/internal/aemtest"
	"github.com/aem-exec/aem-exec/internal/agenttest"
)

// patience is how long a test waits for what must happen.
var patience = aemtest.Slow(30 * time.Second)

func TestMain(m *testing.M) {
	if os.Getenv(confinedRole) != "" {
		confined()
	}
	if os.Getenv(aroundRole) != "" {
		around()
	}
	aemtest.NoLeaks(m, func() { os.RemoveAll(built) })
}

// spool is the example that has events land where they can be written to a disk from.
const spool = "../../examples/handlers/spool-c/spool.c"

// built is where programs are compiled to.
var built, builtErr = os.MkdirTemp("", "aem-sdk-test-")

// compiled are the C programs by their source, each compiled when a test first wants it.
var compiled = map[string]func() (string, error){
	"testdata/tell.c":                         compile("testdata/tell.c", "cc", "-std=c99", "-pedantic"),
	"testdata/around.c":                       compile("testdata/around.c", "cc"),
	"testdata/egg.c":                          compile("testdata/egg.c", "cc", "-pthread"),
	"../../examples/handlers/echo-c/echo.c":   compile("../../examples/handlers/echo-c/echo.c", "cc"),
	"../../examples/handlers/prime-c/prime.c": compile("../../examples/handlers/prime-c/prime.c", "cc"),
	spool:         compile(spool, "cc"),
	confinedC:     compile(confinedC, "cc"),
	halfConfinedC: compile(halfConfinedC, "cc"),
	openC:         compile(openC, "cc"),
}

// confinedC is what confined is in C, halfConfinedC a liar, and openC tells what it has open.
const (
	confinedC     = "testdata/confined.c"
	halfConfinedC = "testdata/halfconfined.c"
	openC         = "testdata/open.c"
)

func compile(source string, compiler ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		if builtErr != nil {
			return "", builtErr
		}
		return aemtest.CProgram(built, source, append(compiler, "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-I", "../../sdk/c")...)
	})
}

// language is a language that handlers are written in.
type language struct {
	name    string
	needs   []aemtest.Feature
	command func(t testing.TB, source string) []string
}

var (
	c      = language{"c", []aemtest.Feature{aemtest.CC}, cCommand}
	python = language{"python", []aemtest.Feature{aemtest.Python}, pythonCommand}
	perl   = language{"perl", []aemtest.Feature{wholePerl}, interpreter("perl")}
)

// wholePerl is Perl with its core modules: distributions have a smaller one, too.
var wholePerl = func() aemtest.Feature {
	f := aemtest.Program("perl")
	f.Name = "program perl with its core modules"
	f.Probe = func() error { return exec.Command("perl", "-MCompress::Zlib", "-e", "1").Run() }
	return f
}()

func cCommand(t testing.TB, source string) []string {
	t.Helper()
	program, err := compiled[source]()
	check(t, err)
	return []string{program}
}

func interpreter(program string) func(testing.TB, string) []string {
	return func(t testing.TB, source string) []string {
		t.Helper()
		path, err := exec.LookPath(program)
		check(t, err)
		return []string{path, absolute(t, source)}
	}
}

// pythonCommand names the interpreter itself: what PATH has may be a script that looks for it.
func pythonCommand(t testing.TB, source string) []string {
	t.Helper()
	path, err := realPython()
	check(t, err)
	return []string{path, absolute(t, source)}
}

var realPython = sync.OnceValues(func() (string, error) {
	path, err := exec.Command("python3", "-c", "import sys; print(sys.executable, end='')").Output()
	return string(path), err
})

// environment lets Python find the SDK, and leave no files beside it.
func environment(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{"PYTHONPATH": absolute(t, "../../sdk/python"), "PYTHONDONTWRITEBYTECODE": "1"}
}

// command is a handler's, to be started.
func command(t testing.TB, handler []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(handler[0], handler[1:]...)
	cmd.Env = os.Environ()
	for name, value := range environment(t) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// ready is a handler process that said hello.
func ready(t testing.TB, handler []string, o directcopy.Options) *agenttest.Agent {
	t.Helper()
	return agenttest.Ready(t, command(t, handler), o)
}

// arena is a handler's arena that stays as it is.
func arena(size int) directcopy.Options { return directcopy.Options{ArenaSize: size} }

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	check(t, err)
	return path
}

// tellers are the same handler in each language: it does what its event's data says.
var tellers = []struct {
	language
	source string
}{{c, "testdata/tell.c"}, {python, "testdata/tell.py"}, {perl, "testdata/handler.pl"}}

// forEach runs a test with the teller of each language.
func forEach(t *testing.T, test func(t *testing.T, teller []string)) {
	for _, teller := range tellers {
		t.Run(teller.name, func(t *testing.T) {
			aemtest.Require(t, teller.needs...)
			test(t, teller.command(t, teller.source))
		})
	}
}

// eachCopy is forEach with an arena of the handler's, and with one that is shared.
func eachCopy(t *testing.T, test func(t *testing.T, teller []string, o directcopy.Options)) {
	forEach(t, func(t *testing.T, teller []string) {
		t.Run("direct", func(t *testing.T) { test(t, teller, directcopy.Options{}) })
		t.Run("shared", func(t *testing.T) { test(t, teller, directcopy.Options{Shared: true}) })
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHeaderIsCxx compiles the C SDK as C++, with all that users may have on.
func TestHeaderIsCxx(t *testing.T) {
	aemtest.Require(t, aemtest.Program("c++"))
	_, err := compile("../../examples/handlers/echo-c/echo.c", "c++", "-x", "c++", "-std=c++11", "-pedantic")()
	check(t, err)
}

// TestExamplesHaveTheSDK finds the one SDK beside each example in Python that imports it, by a link and not by a copy.
func TestExamplesHaveTheSDK(t *testing.T) {
	sdk, err := os.Stat("../../sdk/python/aem.py")
	check(t, err)
	scripts, err := filepath.Glob("../../examples/handlers/*/*.py")
	check(t, err)
	users := 0
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		check(t, err)
		if !bytes.Contains(text, []byte("\nimport aem\n")) {
			continue
		}
		users++
		beside, err := os.Stat(filepath.Join(filepath.Dir(script), "aem.py"))
		if err != nil || !os.SameFile(beside, sdk) {
			t.Errorf("%s: the SDK is not beside it: %v", script, err)
		}
	}
	if users < 2 {
		t.Errorf("%d examples import the SDK", users)
	}
}
