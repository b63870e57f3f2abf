package policy

import (
	"os"
	"testing"
)

func FuzzParse(f *testing.F) {
	moby, err := os.ReadFile("testdata/moby.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(moby)
	f.Add([]byte(deny(`{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":1,"args":[{"index":1,"value":2,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}`)))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":`))
	f.Add([]byte(`{"defaultAction":null,"flags":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if (p == nil) != (err != nil) {
			t.Fatalf("profile %v with error %v", p, err)
		}
		if err != nil {
			return
		}
		for _, native := range []Arch{X86_64, AArch64} {
			if prog, err := Compile(p, native); err == nil {
				validate(t, prog)
			}
		}
	})
}
