package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"pitboss/plainyaml"
)

// decodeYAML reads exactly one document into dst. Unknown and repeated keys are errors, and so are anchors, aliases,
// merge keys and tags: a bundle's files need none of them, and they are how a small file becomes a large value.
// Errors carry [line:column].
func decodeYAML(file string, data []byte, dst any) error {
	if err := plainyaml.Check(data); err != nil {
		return fmt.Errorf("cannot read %q: %w", file, err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(dst); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("cannot read %q: it is empty", file)
		}
		return fmt.Errorf("cannot read %q: %s", file, yaml.FormatError(err, false, false))
	}
	var rest any
	if err := dec.Decode(&rest); !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot read %q: it holds more than one document", file)
	}
	return nil
}
