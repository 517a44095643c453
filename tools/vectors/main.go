// Command vectors writes models/shap_amd64.s, the steps of models/shap_kernel.go and shap_repeated.go in AVX2 and AVX-512: the
// same operations on the same points in the same order, and so the same bits (no fused multiply-add). scripts/gen.sh runs it.
//
// Usage: vectors -out shap_amd64.s
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Where the fields of step, kernel and factor lie: models' TestLayoutForAssembly holds them.
const (
	stepG, stepB, twigV, twigSlope, twigTest, twigFeature = 0, 16, 32, 48, 64, 68
	stepLeaf, stepTest, stepFeature                       = 72, 80, 84
	stepAt, stepLeft, stepRight, stepRepeat, stepSize     = 88, 92, 96, 100, 104

	kernelBins, kernelStates, kernelRows, kernelPhi, kernelWidth, kernelFresh, kernelFactors, kernelLanes = 0, 8, 32, 56, 80, 88, 96, 120
	factorShift, factorB                                                                                  = 7, 64
	placeShift                                                                                            = 6
)

// loop is a way to hold the points of a pass: up to 4 in one register of 4 lanes, up to 8 in two of them, or in one of 8.
type loop struct {
	name    string
	lanes   int
	vectors int
}

var (
	narrow = loop{"narrow", 4, 1}
	wide   = loop{"wide", 4, 2}
	widest = loop{"widest", 8, 1} // AVX-512
)

// pass is the code of one kind of step, in one direction, for all points of a pass.
type pass struct {
	step, bins, states, phi, rows, factors reg.GPVirtual
	loop
	repeated  bool
	a, weight []Op // A and B of the split: registers, or memory
}

func main() {
	ConstraintExpr("amd64")
	for _, repeated := range []bool{false, true} {
		write("twoLeaves", false, repeated, (*pass).twoLeaves)
		write("downInnerLeaf", false, repeated, (*pass).downInnerLeaf)
		write("upInnerLeaf", true, repeated, (*pass).upInnerLeaf)
		write("downInnerInner", false, repeated, (*pass).downInnerInner)
		write("upInnerInner", true, repeated, (*pass).upInnerInner)
	}
	write("twigLeaf", false, false, (*pass).twigLeaf)
	write("downTwigInner", false, false, (*pass).downTwigInner)
	write("upTwigInner", true, false, (*pass).upTwigInner)
	Generate()
}

// write makes one function: a loop over its steps for each way to hold the points. The kernel's width and lanes say which.
func write(name string, up, repeated bool, body func(*pass)) {
	if repeated {
		name += "Repeated"
	}
	TEXT(name+"Vector", NOSPLIT, "func(k *byte, steps *byte, n int)")
	kernel := Load(Param("k"), GP64())
	p := &pass{repeated: repeated, step: GP64(), bins: GP64(), states: GP64(), phi: GP64()}
	Load(Param("steps"), p.step)
	n := Load(Param("n"), GP64())
	MOVQ(Mem{Base: kernel, Disp: kernelBins}, p.bins)
	MOVQ(Mem{Base: kernel, Disp: kernelStates}, p.states)
	MOVQ(Mem{Base: kernel, Disp: kernelPhi}, p.phi)
	if repeated {
		p.rows, p.factors = GP64(), GP64()
		MOVQ(Mem{Base: kernel, Disp: kernelRows}, p.rows)
		MOVQ(Mem{Base: kernel, Disp: kernelFactors}, p.factors)
	}
	if up { // from the last step to the first
		last := GP64()
		LEAQ(Mem{Base: n, Disp: -1}, last)
		IMUL3Q(U8(stepSize), last, last)
		ADDQ(last, p.step)
	}
	fresh := GP64()
	MOVQ(Mem{Base: kernel, Disp: kernelFresh}, fresh)
	CMPQ(Mem{Base: kernel, Disp: kernelWidth}, U8(narrow.lanes))
	JLE(LabelRef(narrow.name))
	CMPQ(Mem{Base: kernel, Disp: kernelLanes}, U8(widest.lanes))
	JEQ(LabelRef(widest.name))
	for _, p.loop = range []loop{wide, widest, narrow} {
		Label(p.name)
		if !repeated {
			p.a, p.weight = nil, nil
			for i := range p.vectors {
				p.a = append(p.a, p.load(fresh, i))
			}
		}
		Label(p.name + "Step")
		if repeated {
			p.loadFactors()
		}
		body(p)
		if up {
			SUBQ(U8(stepSize), p.step)
		} else {
			ADDQ(U8(stepSize), p.step)
		}
		DECQ(n)
		JNZ(LabelRef(p.name + "Step"))
		VZEROUPPER()
		RET()
	}
}

// loadFactors finds A and B of a repeated split.
func (p *pass) loadFactors() {
	row := GP64()
	MOVL(Mem{Base: p.step, Disp: stepRepeat}, row.As32())
	MOVL(Mem{Base: p.rows, Disp: -4, Index: row, Scale: 4}, row.As32())
	SHLQ(U8(factorShift), row)
	ADDQ(p.factors, row)
	p.a, p.weight = nil, nil
	for i := range p.vectors {
		p.a = append(p.a, p.points(row, i))
		p.weight = append(p.weight, p.points(row, i).Offset(factorB))
	}
}

// right is 1 if the row goes right at a split: (bin - bins[slot]) >> 31.
func (p *pass) right(test int) reg.GPVirtual {
	slot, bin := GP64(), GP64()
	MOVWLZX(Mem{Base: p.step, Disp: test}, slot.As32())
	MOVWLZX(Mem{Base: p.step, Disp: test + 2}, bin.As32())
	MOVWLZX(Mem{Base: p.bins, Index: slot, Scale: 2}, slot.As32())
	SUBL(slot.As32(), bin.As32())
	SHRL(U8(31), bin.As32())
	return bin
}

// all is a number of the step in all lanes, chosen by the side.
func (p *pass) all(field int, side reg.GPVirtual) reg.VecVirtual {
	y := p.vector()
	VBROADCASTSD(Mem{Base: p.step, Disp: field, Index: side, Scale: 8}, y)
	return y
}

func (p *pass) leaf() reg.VecVirtual {
	y := p.vector()
	VBROADCASTSD(Mem{Base: p.step, Disp: stepLeaf}, y)
	return y
}

// place is where a state lies.
func (p *pass) place(field int) reg.GPVirtual {
	at := GP64()
	MOVL(Mem{Base: p.step, Disp: field}, at.As32())
	SHLQ(U8(placeShift), at)
	ADDQ(p.states, at)
	return at
}

// vector is a new register.
func (l loop) vector() reg.VecVirtual {
	if l.lanes == widest.lanes {
		return ZMM()
	}
	return YMM()
}

// points are those of a place, or of a row of factors, that go into the i-th register.
func (l loop) points(at reg.GPVirtual, i int) Mem {
	return Mem{Base: at, Disp: 8 * l.lanes * i}
}

func (l loop) load(at reg.GPVirtual, i int) reg.VecVirtual {
	y := l.vector()
	VMOVUPD(l.points(at, i), y)
	return y
}

func (l loop) store(y reg.VecVirtual, at reg.GPVirtual, i int) {
	VMOVUPD(y, l.points(at, i))
}

// line is b + g*A.
func (p *pass) line(g, b reg.VecVirtual, i int) reg.VecVirtual {
	y := p.vector()
	VMULPD(p.a[i], g, y)
	VADDPD(b, y, y)
	return y
}

func (l loop) mul(a Op, b reg.VecVirtual) reg.VecVirtual {
	y := l.vector()
	VMULPD(a, b, y)
	return y
}

// minus is a - b.
func (l loop) minus(a, b reg.VecVirtual) reg.VecVirtual {
	y := l.vector()
	VSUBPD(b, a, y)
	return y
}

// weigh is P*B.
func (p *pass) weigh(x reg.VecVirtual, i int) reg.VecVirtual {
	if !p.repeated {
		return x
	}
	return p.mul(p.weight[i], x)
}

// contribute takes factor times the sum of all lanes from a contribution: the even ones, and the odd ones, in their order.
func (p *pass) contribute(sums []reg.VecVirtual, factor reg.VecVirtual, feature int) {
	total := Op(sums[0].AsX())
	for i := 1; i < len(sums)*p.lanes/2; i++ {
		sum := XMM()
		VADDPD(p.pair(sums, i), total, sum)
		total = sum
	}
	sum := XMM()
	VUNPCKHPD(total, total, sum)
	VADDSD(total, sum, sum)
	VMULSD(factor.AsX(), sum, sum)
	at := GP64()
	MOVL(Mem{Base: p.step, Disp: feature}, at.As32())
	phi := Mem{Base: p.phi, Index: at, Scale: 8}
	old := XMM()
	VMOVSD(phi, old)
	VSUBSD(sum, old, old)
	VMOVSD(old, phi)
}

// pair is the i-th two lanes of all.
func (l loop) pair(all []reg.VecVirtual, i int) Op {
	y, i := all[i*2/l.lanes], i%(l.lanes/2)
	x := XMM()
	switch i {
	case 0:
		return y.AsX()
	case 1:
		VEXTRACTF128(U8(1), y.AsY(), x)
	default:
		VEXTRACTF64X2(U8(i), y, x)
	}
	return x
}
