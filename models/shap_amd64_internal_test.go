package models

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"
)

// TestLayoutForAssembly holds the places of the fields that tools/vectors writes into shap_amd64.s.
func TestLayoutForAssembly(t *testing.T) {
	f := func(name string, got, want uintptr) {
		t.Helper()
		if got != want {
			t.Errorf("%s lies at %d, the assembly has it at %d: tools/vectors/main.go, then make gen", name, got, want)
		}
	}
	var s step
	f("step.g", unsafe.Offsetof(s.g), 0)
	f("step.b", unsafe.Offsetof(s.b), 16)
	f("step.twig.v", unsafe.Offsetof(s.twig)+unsafe.Offsetof(s.twig.v), 32)
	f("step.twig.slope", unsafe.Offsetof(s.twig)+unsafe.Offsetof(s.twig.slope), 48)
	f("step.twig.test", unsafe.Offsetof(s.twig)+unsafe.Offsetof(s.twig.test), 64)
	f("step.twig.feature", unsafe.Offsetof(s.twig)+unsafe.Offsetof(s.twig.feature), 68)
	f("step.leaf", unsafe.Offsetof(s.leaf), 72)
	f("step.test", unsafe.Offsetof(s.test), 80)
	f("test.slot", unsafe.Offsetof(s.test.slot), 0)
	f("test.bin", unsafe.Offsetof(s.test.bin), 2)
	f("step.feature", unsafe.Offsetof(s.feature), 84)
	f("step.at", unsafe.Offsetof(s.at), 88)
	f("step.left", unsafe.Offsetof(s.left), 92)
	f("step.right", unsafe.Offsetof(s.right), 96)
	f("step.repeat", unsafe.Offsetof(s.repeat), 100)
	f("the next step", unsafe.Sizeof(s), 104)
	var k kernel
	f("kernel.bins", unsafe.Offsetof(k.bins), 0)
	f("kernel.states", unsafe.Offsetof(k.states), 8)
	f("kernel.rows", unsafe.Offsetof(k.rows), 32)
	f("kernel.phi", unsafe.Offsetof(k.phi), 56)
	f("kernel.width", unsafe.Offsetof(k.width), 80)
	f("kernel.fresh", unsafe.Offsetof(k.fresh), 88)
	f("kernel.factors", unsafe.Offsetof(k.factors), 96)
	f("kernel.lanes", unsafe.Offsetof(k.lanes), 120)
	f("factor.b", unsafe.Offsetof(factor{}.b), 64)
	f("the next factor", unsafe.Sizeof(factor{}), 128)
	f("the next place", unsafe.Sizeof(points{}), 64)
}

// TestLanesChooseTheLoop: with 8 lanes every function takes the loop in AVX-512, which ends a process on a processor without
// it, and with 4 lanes none does. What has the same bits can be told apart in no other way.
func TestLanesChooseTheLoop(t *testing.T) {
	const env = "PITBOSS_TEST_LANES" // of the process that is to end: direction, kind, lanes
	if asked := os.Getenv(env); asked != "" {
		var direction string
		var kind stepKind
		k := kernel{bins: new(binTable), states: make([]points, 3), rows: make([]uint32, 1), phi: make([]float64, 1), width: maxWidth, fresh: new(points), factors: make([]factor, 1)}
		if _, err := fmt.Sscan(asked, &direction, &kind, &k.lanes); err != nil {
			t.Fatal(err)
		}
		steps := []step{{left: 1, right: 2, repeat: 1}}
		if direction == "up" {
			k.upVector(kind, steps)
		} else {
			k.downVector(kind, steps)
		}
		return
	}
	if widestLanes != lanesAVX2 || strings.Contains(os.Getenv("GODEBUG"), "cpu.avx512") {
		t.Skip("it needs a processor with AVX2 and without AVX-512")
	}
	down := []stepKind{twoLeaves, twigLeaf, innerLeaf, twigInner, innerInner, twoLeaves + repeated, innerLeaf + repeated, innerInner + repeated}
	up := []stepKind{innerLeaf, twigInner, innerInner, innerLeaf + repeated, innerInner + repeated}
	for direction, kinds := range map[string][]stepKind{"down": down, "up": up} {
		for _, kind := range kinds {
			for _, lanes := range []int{lanesAVX2, lanesAVX512} {
				asked := fmt.Sprintln(direction, kind, lanes)
				child := exec.Command(os.Args[0], "-test.run=^TestLanesChooseTheLoop$")
				child.Env = append(os.Environ(), env+"="+asked)
				out, err := child.CombinedOutput()
				if ended := bytes.Contains(out, []byte("SIGILL")); ended != (lanes == lanesAVX512) || ended != (err != nil) {
					t.Errorf("%s: %v\n%.300s", asked, err, out)
				}
			}
		}
	}
}
