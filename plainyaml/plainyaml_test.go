package plainyaml_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/parser"

	"pitboss/plainyaml"
)

func TestCheck(t *testing.T) {
	for _, text := range []string{"", "a: 1\n", "a: [1, [2, {b: 3}]]\n- b\n", strings.Repeat("- a\n", 1000), "a: \"& * << !\"\n", "a: '- - - -'\n"} {
		if err := plainyaml.Check([]byte(text)); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	f := func(text, want string) {
		t.Helper()
		began := time.Now()
		err := plainyaml.Check([]byte(text))
		if e, ok := errors.AsType[*plainyaml.Error](err); !ok || e.Error() != want {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%.40q took %v", text, took)
		}
	}
	const most = 256 << 10
	for _, deep := range []string{"- ", "? ", "[", "{a: "} {
		f(strings.Repeat(deep, most/len(deep)), "[1:"+map[string]string{"- ": "33", "? ": "33", "[": "17", "{a: ": "65"}[deep]+"] nested deeper than 16")
	}
	f("a: &b 1", "[1:4] anchors (&), aliases (*), merge keys (<<) and tags (!) are not read: write the value out, or put text that begins so in quotes")
	f("a: *b", "[1:4] anchors (&), aliases (*), merge keys (<<) and tags (!) are not read: write the value out, or put text that begins so in quotes")
	f("a:\n  <<: {}", "[2:3] anchors (&), aliases (*), merge keys (<<) and tags (!) are not read: write the value out, or put text that begins so in quotes")
	f(strings.Repeat("!a ", most/3), "[1:1] anchors (&), aliases (*), merge keys (<<) and tags (!) are not read: write the value out, or put text that begins so in quotes")
	f("a: \xff", "not UTF-8 text")
}

// TestWhatPassesIsRead: the parser is done soon with whatever Check lets through, of whatever shape.
func TestWhatPassesIsRead(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("- ", 16) + "\n", strings.Repeat("[", 16) + strings.Repeat("]", 16), "- a\n", "a: b\n", "a: \"\\x\"\n", "'", "\"", "|\n", "a: |\n", "#\n", "-\n", ": ", "a: {b: c}\n", "---\n", "...\n", "%\n", "\t",
		strings.Repeat("- [", 8), strings.Repeat("? - ", 4) + "\n",
	} {
		data := []byte(strings.Repeat(text, (96<<10)/len(text)))
		began := time.Now()
		if plainyaml.Check(data) == nil {
			_, _ = parser.ParseBytes(data, 0)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%.40q repeated took %v", text, took)
		}
	}
	var steps strings.Builder
	for i := 0; steps.Len() < 96<<10; i++ {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	began := time.Now()
	if plainyaml.Check([]byte(steps.String())) == nil {
		_, _ = parser.ParseBytes([]byte(steps.String()), 0)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("nested over lines it took %v", took)
	}
}
