package registry

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// DefaultLanguage is the language that every text must have, and that stands in for one that a bundle does not have.
const DefaultLanguage = "en"

// maxLanguages bounds the languages of one text.
const maxLanguages = 64

var languagePattern = regexp.MustCompile(`^[a-z]{2}(-[A-Z]{2})?$`)

// ValidLanguage says whether a name is written as languages are: en, de, pt-BR.
func ValidLanguage(name string) bool { return languagePattern.MatchString(name) }

// Texts is one text in all of its languages.
type Texts []localized

type localized struct {
	language string
	template Template
}

// In gives the text in a language, or in DefaultLanguage where it has no other. The zero Texts has an empty one.
func (t Texts) In(language string) *Template {
	fallback := &Template{}
	for i := range t {
		switch t[i].language {
		case language:
			return &t[i].template
		case DefaultLanguage:
			fallback = &t[i].template
		}
	}
	return fallback
}

// uses says whether the text names the placeholder in any language.
func (t Texts) uses(name string) bool {
	return slices.ContainsFunc(t, func(l localized) bool { return l.template.Uses(name) })
}

// compileTexts compiles a text in all of its languages.
func compileTexts(texts map[string]string, allowed ...string) (Texts, error) {
	if len(texts) > maxLanguages {
		return nil, fmt.Errorf("%d languages; at most %d", len(texts), maxLanguages)
	}
	var out Texts
	for _, language := range slices.Sorted(maps.Keys(texts)) {
		if !ValidLanguage(language) {
			return nil, fmt.Errorf("language %q must match %s", language, languagePattern)
		}
		t, err := compileTemplate(texts[language], allowed...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", language, err)
		}
		out = append(out, localized{language, t})
	}
	if _, ok := texts[DefaultLanguage]; !ok {
		return nil, fmt.Errorf("a text in %q is needed", DefaultLanguage)
	}
	return out, nil
}

// languages are those in which every one of some texts is written. One that lacks a single text would mix two.
type languages struct {
	all   []string
	begun bool
}

// keep leaves those that the text has.
func (l *languages) keep(t Texts) {
	has := func(language string) bool {
		return slices.ContainsFunc(t, func(x localized) bool { return x.language == language })
	}
	if !l.begun {
		l.begun = true
		for i := range t {
			l.all = append(l.all, t[i].language)
		}
		return
	}
	l.all = slices.DeleteFunc(l.all, func(language string) bool { return !has(language) })
}

// Phrases are the sentences that belong to no reason: that there is no score, and counterfactuals.
type Phrases struct {
	// NoScore is for the analyst, NoScorePlayer for the player; neither has placeholders.
	NoScore, NoScorePlayer Texts
	// AtMost and AtLeast may name {outcome}, {feature} and {value}; Between {low} and {high} in place of {value}.
	AtMost, AtLeast, Between Texts
}

// phrasesFile is the part phrases of reasons.yaml. What is left out has the words of this program, in English.
type phrasesFile struct {
	NoScore       map[string]string `yaml:"no_score"`
	NoScorePlayer map[string]string `yaml:"no_score_player"`
	AtMost        map[string]string `yaml:"at_most"`
	AtLeast       map[string]string `yaml:"at_least"`
	Between       map[string]string `yaml:"between"`
}

// compile takes the file's words, or this program's.
func (f *phrasesFile) compile() (Phrases, error) {
	var p Phrases
	for _, x := range []struct {
		name    string
		given   map[string]string
		english string
		to      *Texts
		allowed []string
	}{
		{"no_score", f.NoScore, "No score could be made; the outcome is the default for this type of event and its stake", &p.NoScore, nil},
		{"no_score_player", f.NoScorePlayer, "This could not be checked completely", &p.NoScorePlayer, nil},
		{"at_most", f.AtMost, "{outcome} if {feature} were at most {value}", &p.AtMost, []string{"outcome", "feature", "value"}},
		{"at_least", f.AtLeast, "{outcome} if {feature} were at least {value}", &p.AtLeast, []string{"outcome", "feature", "value"}},
		{"between", f.Between, "{outcome} if {feature} were between {low} and {high}", &p.Between, []string{"outcome", "feature", "low", "high"}},
	} {
		texts := x.given
		if len(texts) == 0 {
			texts = map[string]string{DefaultLanguage: x.english}
		}
		var err error
		if *x.to, err = compileTexts(texts, x.allowed...); err != nil {
			return p, fmt.Errorf("phrases.%s: %w", x.name, err)
		}
	}
	return p, nil
}

func (p *Phrases) each(visit func(Texts)) {
	for _, t := range []Texts{p.NoScore, p.NoScorePlayer, p.AtMost, p.AtLeast, p.Between} {
		visit(t)
	}
}

// DefaultPhrases are the words of this program: those of decisions that were made without a bundle.
func DefaultPhrases() Phrases {
	p, err := (&phrasesFile{}).compile()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}

// Language gives the language that a bundle answers a wish with: the one asked for where every text of the bundle has
// it, else the same without its country, else DefaultLanguage.
func (b *Bundle) Language(asked string) string {
	if slices.Contains(b.Languages, asked) {
		return asked
	}
	if short, _, ok := strings.Cut(asked, "-"); ok && slices.Contains(b.Languages, short) {
		return short
	}
	return DefaultLanguage
}

// addLanguages finds the languages that all texts of the bundle have.
func (b *Bundle) addLanguages() {
	var l languages
	b.Reasons.Phrases.each(l.keep)
	for i := range b.Reasons.List {
		r := &b.Reasons.List[i]
		l.keep(r.Text)
		l.keep(r.MissingText)
		l.keep(r.Player)
	}
	for i := range b.Policy.lists {
		l.keep(b.Policy.lists[i].Text)
		l.keep(b.Policy.lists[i].Player)
	}
	b.Languages = l.all
}
