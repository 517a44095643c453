package registry

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxTextBytes bounds one text of a catalogue.
const maxTextBytes = 512

var (
	codePattern = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,62}$`)
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
)

// Template is a text with placeholders, cut into its parts when the bundle is loaded, so that a decision only joins
// strings. Texts are plain: a catalogue with markup or control characters is refused, so that a text cannot become
// more than a text wherever it is shown.
type Template struct {
	literals []string // one more than names
	names    []string
	size     int // of a usual result
}

// compileTemplate cuts text at its placeholders, each of which must be one of allowed.
func compileTemplate(text string, allowed ...string) (Template, error) {
	if err := checkText(text); err != nil {
		return Template{}, err
	}
	var t Template
	last := 0
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		name := text[at[0]+1 : at[1]-1]
		if !slices.Contains(allowed, name) {
			return Template{}, fmt.Errorf("placeholder {%s} is not known here; known are %s", name, braced(allowed))
		}
		t.literals = append(t.literals, text[last:at[0]])
		t.names = append(t.names, name)
		last = at[1]
	}
	t.size = len(text) + 16*len(t.names)
	t.literals = append(t.literals, text[last:])
	for _, l := range t.literals {
		if strings.ContainsAny(l, "{}") {
			return Template{}, fmt.Errorf("a brace in %q belongs to no placeholder", l)
		}
	}
	return t, nil
}

// Execute gives the text with each placeholder replaced by what value gives for its name. Control characters, angle
// brackets and line breaks in a value are replaced by "?", so that a value cannot say more than a value.
func (t *Template) Execute(value func(name string) string) string {
	switch len(t.literals) {
	case 0:
		return ""
	case 1:
		return t.literals[0]
	}
	var b strings.Builder
	b.Grow(t.size)
	for i, name := range t.names {
		b.WriteString(t.literals[i])
		b.WriteString(tame(value(name)))
	}
	b.WriteString(t.literals[len(t.names)])
	return b.String()
}

// Uses says whether the template names the placeholder.
func (t *Template) Uses(name string) bool { return slices.Contains(t.names, name) }

// tame makes a value harmless in a text. The usual value is a number or a short name and comes back as it is.
func tame(value string) string {
	if !strings.ContainsFunc(value, hostileRune) {
		return value
	}
	return strings.Map(func(r rune) rune {
		if hostileRune(r) {
			return '?'
		}
		return r
	}, value)
}

// hostileRune says whether a rune does more than show itself: control and format characters (bidirectional overrides,
// zero-width joiners), line and paragraph separators, replacement of broken UTF-8, and what opens markup.
func hostileRune(r rune) bool {
	return r == '<' || r == '>' || r == unicode.ReplacementChar || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func checkText(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Errorf("text is empty")
	case len(text) > maxTextBytes:
		return fmt.Errorf("text has %d bytes; at most %d", len(text), maxTextBytes)
	}
	if i := strings.IndexFunc(text, hostileRune); i >= 0 {
		return fmt.Errorf("text %q has a control or format character or an angle bracket at byte %d; write plain text", text, i)
	}
	return nil
}

func braced(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "{" + strings.Join(names, "}, {") + "}"
}
