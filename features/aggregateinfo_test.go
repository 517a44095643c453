package features_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features"
)

// TestTheDocumentedAggregatesAreAll compares the table of docs/features.md with the aggregates. -rewrite writes it.
func TestTheDocumentedAggregatesAreAll(t *testing.T) {
	const file, head = "../docs/features.md", "| aggregate | class | needs | takes | value |\n|---|---|---|---|---|\n"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), head)
	table, after, ends := strings.Cut(rest, "\n\n")
	if !ok || !ends {
		t.Fatalf("%s has no table that begins with %q", file, head)
	}
	var want strings.Builder
	for _, a := range features.Aggregates() {
		if a.Value == "" {
			t.Errorf("%s: how its value is made is not said", a.Name)
		}
		takes := strings.Join(a.Takes, ", ")
		if a.ExcludesCurrent {
			takes = strings.Replace(takes, "current", "current (exclude)", 1)
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", a.Name, a.Class, strings.Join(a.Needs, ", "), takes, strings.ReplaceAll(a.Value, "|", `\|`))
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(before+head+want.String()+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), table+"\n"); diff != "" {
		t.Errorf("%s (-code +documented):\n%s", file, diff)
	}
}
