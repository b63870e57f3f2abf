package policy

import "testing"

func FuzzParse(f *testing.F) {
	f.Add(defaultProfile)
	f.Add(handlerProfile)
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
			if prog, err := Compile(p, Host{Arch: native}, Only); err == nil {
				validate(t, prog)
			}
		}
	})
}
