package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// createOut makes the output file, which must be none of the inputs; close says whether everything got there.
func createOut(path string, stdout io.Writer, inputs ...string) (io.Writer, func() error, error) {
	if path == "" || path == "-" {
		buf := bufio.NewWriter(stdout)
		return buf, buf.Flush, nil
	}
	if err := notAnInput(path, inputs...); err != nil {
		return nil, nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the output: %w", err)
	}
	buf := bufio.NewWriterSize(f, 1<<16)
	return buf, func() error { return errors.Join(buf.Flush(), f.Close()) }, nil
}

// notAnInput refuses to write over a file that the same command reads: it would be empty before the first line of it is
// read.
func notAnInput(out string, inputs ...string) error {
	o, err := os.Stat(out)
	if err != nil {
		return nil //nolint:nilerr // what is not there is no input, and making it says what else is wrong
	}
	for _, in := range inputs {
		if i, err := os.Stat(in); err == nil && os.SameFile(o, i) {
			return &codedError{exitUsage, fmt.Errorf("--out %s is the same file as the input %s: write to another one", out, in)}
		}
	}
	return nil
}
