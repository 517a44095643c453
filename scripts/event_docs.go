//go:build ignore

// Writes docs/events.md to its output: every event of proto/pitboss/v1/event.proto by its comments, with the example of
// examples/events. Run by make gen, at the top of the repository.
package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/features"
)

const intro = `# Events

<!-- Made by make gen from proto/pitboss/v1/event.proto and examples/events/: change those. -->

What a game engine, a wallet, a cashier or a client tells pitboss is an event: an [envelope](#the-envelope), the
[entities](#kinds-of-entities) that it is about, and one payload that belongs to its type. The payload's field is the type with its first
dot written as an underscore: ` + "`bet.placed`" + ` is ` + "`bet_placed`" + `. The same names hold in JSON, Protobuf and Avro ([formats.md](formats.md)); JSON writes
integers of 64 bits as texts, and reads numbers too. Every type has its example, which a test sends by a call and through Kafka:

` + "```" + `
curl -s http://127.0.0.1:8080/v1/events -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
  -d "{\"events\": [$(cat examples/events/bet.placed.json)]}"
` + "```" + `

**What is refused.** A type that is not here and does not start with ` + "`custom.`" + `; a payload of another type; a field that is needed and not
there; an entity that the type needs and the event does not name; a negative number where none is said to be; amounts of several
currencies in one payload; a currency without a rate; more than one entity of a kind; texts of more than 256 bytes, with control
characters, or (of names: ids, entities) with invisible ones; an e-mail address in any text that is kept; times before 1970, and times in
payloads more than 100 years ahead; ` + "`occurred_at`" + ` more than 5 s after or 30 days before its receipt. The refusal names the field. Words of
a list that begins with "such as" are advice: any other text is taken, and feature sets can match it.

**What is not known is left out**, and never 0: to a feature a field that is absent is missing. (Numbers and flags of the first schema that are
not marked optional cannot tell 0 from absent.) Unknown fields of newer minor schemas are kept beside the event.

**In feature sets** a field of a payload has its own name, in ` + "`match`" + ` and as a value: ` + "`match: {type: auth.mfa, result: failed}`" + `. Money is three: ` + "`amount`" + ` in
minor units, ` + "`amount_base`" + ` in the tenant's base currency, and its currency (` + "`currency`" + ` of ` + "`amount`" + `, ` + "`price_currency`" + ` of ` + "`price`" + `). Every event
has ` + "`type`, `trust`, `brand`, `jurisdiction`" + ` and what the edge derives: ` + "`address_class`, `asn_class`, `country`, `country_currency_mismatch`,\n`card_country_mismatch`, `card_currency_mismatch`" + `. Attributes are ` + "`attr_NAME`" + `. Times are microseconds since 1970.

**Personal data.** Values of personal kinds that come as FORM_RAW are replaced by aliases before anything is stored. Nothing else that names a
person belongs into an event: details that changed come as digests.
`

func main() {
	log.SetFlags(0)
	out := bufio.NewWriter(os.Stdout)
	if err := write(out); err != nil {
		log.Fatalf("event_docs: %v", err)
	}
	if err := out.Flush(); err != nil {
		log.Fatalf("event_docs: %v", err)
	}
}

func write(out *bufio.Writer) error {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"proto"}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), "pitboss/v1/event.proto")
	if err != nil {
		return err
	}
	file := files[0]
	out.WriteString(intro)
	out.WriteString("\n## The envelope\n")
	for _, name := range []protoreflect.Name{"Event", "Identifier", "Money", "Value", "ClockQuality", "Enrichment", "ListHit", "UnknownField"} {
		m := file.Messages().ByName(name)
		fmt.Fprintf(out, "\n### %s\n%s\n", name, comment(m))
		if err := fields(out, m); err != nil {
			return err
		}
	}
	for _, name := range []protoreflect.Name{"Form", "Trust"} {
		e := file.Enums().ByName(name)
		fmt.Fprintf(out, "\n### %s\n%s\n\n", name, comment(e))
		for i := range e.Values().Len() {
			v := e.Values().Get(i)
			fmt.Fprintf(out, "- `%s`: %s\n", v.Name(), comment(v))
		}
	}
	if err := kinds(out); err != nil {
		return err
	}
	return types(out, file.Messages().ByName("Event").Oneofs().ByName("payload").Fields())
}

func kinds(out *bufio.Writer) error {
	all, err := features.NewKinds(nil)
	if err != nil {
		return err
	}
	var personal, others []string
	for _, k := range all.All() {
		if k.Personal {
			personal = append(personal, "`"+k.Name+"`")
		} else if k.Name != "tenant" && k.Name != "brand" {
			others = append(others, "`"+k.Name+"`")
		}
	}
	fmt.Fprintf(out, `
## Kinds of entities
An event may name any of them, each once; what it must name stands with its type. `+"`tenant` and `brand`"+` are fields of the envelope. A configuration can
add kinds (`+"`entity_kinds`"+`).

Personal, replaced by aliases where they come as FORM_RAW: %s. `+"`counterparty`"+` is the other player of a transfer, erased with the player and under the same alias as
a player; `+"`person`"+` is a name with a date of birth, `+"`postal`"+` an address of stone, `+"`click`"+` an affiliate's click, `+"`staff`"+` somebody who works for the operator.
Addresses, AS numbers, e-mail addresses (in small letters) and telephone numbers (with the country's code, without spaces) are brought into one form first.

Kept as they are: %s.
`, strings.Join(personal, ", "), strings.Join(others, ", "))
	return nil
}

// types writes the payloads, in the order of their names.
func types(out *bufio.Writer, payloads protoreflect.FieldDescriptors) error {
	list := make([]protoreflect.FieldDescriptor, 0, payloads.Len())
	for i := range payloads.Len() {
		list = append(list, payloads.Get(i))
	}
	slices.SortFunc(list, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(typeName(a), typeName(b)) })
	out.WriteString("\n## Types\n")
	family := ""
	for _, p := range list {
		name := typeName(p)
		if f, _, _ := strings.Cut(name, "."); f != family {
			if family != "" {
				out.WriteString("\n")
			}
			family = f
			out.WriteString("- ")
		} else {
			out.WriteString(" · ")
		}
		fmt.Fprintf(out, "[%s](#%s)", name, strings.ReplaceAll(name, ".", ""))
	}
	out.WriteString("\n")
	for _, p := range list {
		text := strings.TrimPrefix(comment(p.Message()), typeName(p)+": ")
		fmt.Fprintf(out, "\n### %s\n%s\n", typeName(p), strings.ToUpper(text[:1])+text[1:])
		if err := fields(out, p.Message()); err != nil {
			return err
		}
		example, err := os.ReadFile(path.Join("examples/events", typeName(p)+".json"))
		if err != nil {
			return fmt.Errorf("every event has its example: %w", err)
		}
		fmt.Fprintf(out, "\n```json\n%s```\n", example)
	}
	return nil
}

func typeName(f protoreflect.FieldDescriptor) string {
	return strings.Replace(string(f.Name()), "_", ".", 1)
}

// fields writes a message's table; the payloads of an event have sections of their own.
func fields(out *bufio.Writer, m protoreflect.MessageDescriptor) error {
	out.WriteString("\n| field | type | unit | meaning |\n|---|---|---|---|\n")
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if o := f.ContainingOneof(); o != nil && o.Name() == "payload" {
			continue
		}
		meaning := comment(f)
		if meaning == "" {
			return fmt.Errorf("%s has no comment", f.FullName())
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", f.Name(), kind(f), unit(f), strings.ReplaceAll(meaning, "|", "\\|"))
	}
	return nil
}

func kind(f protoreflect.FieldDescriptor) string {
	name := ""
	switch {
	case f.IsMap():
		return "map of texts to " + strings.ToLower(string(f.MapValue().Message().Name())) + "s"
	case f.Message() != nil && f.Message().FullName() == "google.protobuf.Timestamp":
		name = "time"
	case f.Message() != nil && f.Message().Name() == "Money":
		name = "money"
	case f.Message() != nil:
		name = fmt.Sprintf("[%s](#%s)", f.Message().Name(), strings.ToLower(string(f.Message().Name())))
	case f.Enum() != nil:
		name = fmt.Sprintf("[%s](#%s)", f.Enum().Name(), strings.ToLower(string(f.Enum().Name())))
	default:
		name = map[protoreflect.Kind]string{
			protoreflect.StringKind: "text", protoreflect.BoolKind: "true or false", protoreflect.DoubleKind: "number",
			protoreflect.Int32Kind: "integer", protoreflect.Int64Kind: "integer", protoreflect.Uint32Kind: "integer", protoreflect.Uint64Kind: "integer",
		}[f.Kind()]
	}
	if f.IsList() {
		return "list of " + name
	}
	if f.HasOptionalKeyword() {
		name += ", optional"
	}
	return name
}

// unit is said by the end of a field's name.
func unit(f protoreflect.FieldDescriptor) string {
	if m := f.Message(); m != nil && m.Name() == "Money" {
		return "minor units"
	}
	name := string(f.Name())
	for _, u := range [...]struct{ suffix, unit string }{
		{"_ms", "ms"}, {"_us", "µs"}, {"_s", "s"}, {"_min", "min"}, {"_ppm", "millionths"}, {"_x100", "hundredths"},
		{"_mbit", "1/1000 bit"}, {"_minor", "minor units"}, {"_cc", "ISO 3166-1"},
	} {
		if strings.HasSuffix(name, u.suffix) {
			return u.unit
		}
	}
	return ""
}

func comment(d protoreflect.Descriptor) string {
	return strings.Join(strings.Fields(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments), " ")
}
