//go:build rivals

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: rivals DATA LIGHTGBM XGBOOST ONNXRUNTIME [ROUNDS]")
		os.Exit(2)
	}
	rounds := 10
	if len(os.Args) > 5 {
		var err error
		if rounds, err = strconv.Atoi(os.Args[5]); err != nil || rounds < 1 {
			fmt.Fprintf(os.Stderr, "ROUNDS is %q, want a number from 1 on\n", os.Args[5])
			os.Exit(2)
		}
	}
	libraries := libraries{lightGBM: os.Args[2], xgboost: os.Args[3], onnxruntime: os.Args[4]}
	if err := measureAll(os.Args[1], libraries, rounds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// libraries are where the rivals' shared libraries lie.
type libraries struct{ lightGBM, xgboost, onnxruntime string }

// measureAll prints a table for each shape.
func measureAll(data string, l libraries, rounds int) error {
	debug.SetGCPercent(-1) // nothing that is measured allocates; what was loaded need not be scanned meanwhile
	runtime.LockOSThread() // the clock is the thread's
	printHeader(l)
	for _, s := range []shape{{name: "small", features: 64, title: "200x31x64"}, {name: "large", features: 128, title: "500x63x128"}} {
		f, err := openField(data, s, l)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		for _, r := range f.races {
			r.run(rounds)
			r.print(s.title)
		}
		if err := f.batch(rounds); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		f.printModel()
	}
	return nil
}
