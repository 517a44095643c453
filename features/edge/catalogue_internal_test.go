package edge

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/features"
)

// commented gives Event with the comments of the .proto file, which generated code does not have.
func commented(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"../../proto"}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), "pitboss/v1/event.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages().ByName("Event")
}

func commentOf(d protoreflect.Descriptor) string {
	text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	return strings.Join(strings.Fields(text), " ")
}

var needs = regexp.MustCompile(`Needs ([a-z_, ]+?)[;.]`)

// TestCatalogueIsWhatTheCommentsSay holds the table that events are checked by against the comments that producers read: the
// type's name, what it must name, which fields it must have, which may be negative, and that nothing is without a word.
func TestCatalogueIsWhatTheCommentsSay(t *testing.T) {
	plans, err := planTypes()
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	payloads := commented(t).Oneofs().ByName("payload").Fields()
	for i := range payloads.Len() {
		m := payloads.Get(i).Message()
		name := strings.Replace(string(payloads.Get(i).Name()), "_", ".", 1)
		plan, text := plans[name], commentOf(m)
		if plan == nil {
			t.Errorf("%s has no line in the catalogue", name)
			continue
		}
		if !strings.HasPrefix(text, name+":") {
			t.Errorf("%s: the comment must begin with the type's name and a colon: %q", name, text)
		}
		var said []string
		if found := needs.FindStringSubmatch(text); found != nil {
			said = strings.Split(strings.ReplaceAll(found[1], " and ", ", "), ", ")
		}
		want := slices.Concat(plan.entities, slices.DeleteFunc(slices.Clone(plan.envelope), func(s string) bool { return s == "reference_transaction_id" }))
		if !slices.Equal(said, want) {
			t.Errorf("%s needs %v, and its comment says %v", name, want, said)
		}
		for _, kind := range plan.entities {
			if _, ok := kinds.Get(kind); !ok {
				t.Errorf("%s needs %s, which is no built-in kind", name, kind)
			}
		}
		if plan.client != strings.Contains(text, "Always of TRUST_CLIENT.") {
			t.Errorf("%s: client is %v, and its comment says %q", name, plan.client, text)
		}
		checkFieldComments(t, name, plan, m)
	}
}

func checkFieldComments(t *testing.T, name string, plan *typePlan, m protoreflect.MessageDescriptor) {
	t.Helper()
	for i := range plan.fields {
		f := &plan.fields[i]
		text := commentOf(m.Fields().ByName(f.desc.Name()))
		if text == "" {
			t.Errorf("%s.%s has no comment", name, f.desc.Name())
		}
		if f.required != strings.HasSuffix(text, "Needed.") {
			t.Errorf("%s.%s: needed is %v, and its comment says %q", name, f.desc.Name(), f.required, text)
		}
		said := strings.Contains(text, "May be negative.") || strings.Contains(text, "negative where") || f.desc.Name() == "tz_offset_min"
		if f.signed != said {
			t.Errorf("%s.%s: signed is %v, and its comment says %q", name, f.desc.Name(), f.signed, text)
		}
	}
	for _, required := range plan.payload {
		if plan.payloadField.Message().Fields().ByName(protoreflect.Name(required)) == nil {
			t.Errorf("%s needs the field %s, which it has not", name, required)
		}
	}
}
