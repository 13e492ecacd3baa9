import TesseraCheckpoints
import TesseraCore
import TesseraImages
import TesseraRules
import Testing

@Suite struct ElementwiseTests {
  /// Converts elements by operations and gives the result's bytes.
  private func convert(
    _ elements: Tensor,
    _ operations: [TensorOperation]
  ) async throws -> [UInt8] {
    let stored = try StoredTensors(["x": elements])
    var rules = ConversionRules(recipe: "test/1")
    rules.rules = [ConversionRule(try #require(stored["x"]), operations, to: "y")]
    return try await bytes("y", of: stored.converted(by: rules))
  }

  private func halves(_ bytes: [UInt8]) -> [UInt16] {
    Tensor(elementType: .uint16, shape: [bytes.count / 2], bytes: bytes).elements() ?? []
  }

  private func floats(_ bytes: [UInt8]) -> [Float] {
    Tensor(elementType: .float32, shape: [bytes.count / 4], bytes: bytes).elements() ?? []
  }

  @Test(arguments: [ElementType.float16, .bfloat16])
  func `every 16-bit float survives a wider type`(type: ElementType) async throws {
    let all = (0...UInt16.max).map { $0 }
    let source = Tensor(
      elementType: type,
      shape: [all.count],
      bytes: Tensor(shape: [all.count], elements: all).bytes
    )
    for wide in [ElementType.float32, .float64] {
      let widened = try await convert(source, [.cast(from: type, to: wide)])
      let wider = Tensor(elementType: wide, shape: [all.count], bytes: widened)
      let back = halves(try await convert(wider, [.cast(from: wide, to: type)]))
      let infinity: UInt16 = type == .float16 ? 0x7C00 : 0x7F80
      for (before, after) in zip(all, back) {
        if before & 0x7FFF > infinity {
          #expect(after & 0x7FFF > infinity, "not-a-number stays not-a-number")
        } else if before != after {
          Issue.record("\(before) became \(after)")
        }
      }
    }
  }

  @Test func `ties go to the even neighbour, and nothing is rounded twice`() async throws {
    let tiny = Float(bitPattern: 0x116C2)
    let values: [Float] = [1.00390625, 1.01171875, 1.0039065, -1.00390625, tiny, -0.0, .infinity]
    let bf16 = try await convert(
      Tensor(shape: [values.count], floats: values),
      [.cast(from: .float32, to: .bfloat16)]
    )
    #expect(halves(bf16) == [0x3F80, 0x3F82, 0x3F81, 0xBF80, 0x0001, 0x8000, 0x7F80])
    // Just above a tie: float32 on the way would make it the tie, and then round it down.
    let doubles: [Double] = [1.00390625 + 0x1p-40, 1 + 0x1p-11 + 0x1p-40, 65519.999, 0x1p-25]
    let wide = Tensor(shape: [doubles.count], elements: doubles)
    #expect(halves(try await convert(wide, [.cast(from: .float64, to: .bfloat16)]))[0] == 0x3F81)
    let half = halves(try await convert(wide, [.cast(from: .float64, to: .float16)]))
    #expect(half == [0x3C04, 0x3C01, 0x7BFF, 0])
    let small: [Float] = [0x1p-24, 0x1.8p-24, 0x1p-25, 0x1.000002p-25, 6.1e-5, 65504]
    let subnormal = try await convert(
      Tensor(shape: [small.count], floats: small),
      [.cast(from: .float32, to: .float16)]
    )
    #expect(halves(subnormal) == [1, 2, 0, 1, 0x03FF, 0x7BFF])
  }

  @Test func `a finite number without a finite result is an error`() async throws {
    let large = Tensor(shape: [3], floats: [1, 65520, .infinity])
    let error = await #expect(throws: TesseraError.self) {
      try await convert(large, [.cast(from: .float32, to: .float16)])
    }
    #expect(error?.kind == .numericLimit)
    #expect(error?.description.hasPrefix("x: cast(f16) of 65520.0 has no finite F16 value") == true)
    let positive = Tensor(shape: [2], floats: [-1, 0.5])
    await #expect(throws: TesseraError.self) {
      try await convert(positive, [.map(.logNeg)])
    }
    let ninety = Tensor(shape: [1], floats: [90])
    await #expect(throws: TesseraError.self) { try await convert(ninety, [.map(.exp)]) }
  }

  @Test(arguments: ElementMap.allCases)
  func `a function and its inverse agree to the last digits`(map: ElementMap) throws {
    let arguments: [Double] =
      switch map {
      case .exp, .negExp, .softplus, .sigmoid: [-30, -3, -0.5, -1e-9, 0, 1e-9, 0.25, 1, 5, 30]
      case .log, .softplusInverse: [1e-30, 1e-8, 0.1, 0.5, 1, 1.5, 2, 20, 700]
      case .logNeg: [-1e-30, -0.1, -1, -2, -1e30]
      case .logit: [1e-9, 0.25, 0.5, 0.75, 0.999]
      }
    for x in arguments where !(map == .sigmoid && x > 20) {
      let back = map.inverse(map(x))
      let scale = max(abs(x), 1)
      // Where the function is flat, its value has lost digits of x.
      let slack = map == .softplus && x < 0 || map == .sigmoid ? 1e-4 : 4e-14
      #expect(
        abs(back - x) <= slack * scale,
        "\(map.rawValue) of \(x) gave \(map(x)), back \(back)"
      )
    }
    #expect(map.inverse.inverse == map)
  }

  @Test func `functions are rounded once to the type, and layouts commute with them`() async throws
  {
    let source = Tensor(shape: [2, 3], floats: [0, 1, 2, 3, 4, 5])
    let result = try await convert(
      source,
      [.map(.negExp), .transpose, .affine(scale: 1, offset: 1)]
    )
    let expected: [Double] = [0, 3, 1, 4, 2, 5].map { 1 - Double(Float(StrictExp.value($0))) }
    #expect(floats(result) == expected.map { Float($0) })
    let operations: [TensorOperation] = [.cast(from: .float32, to: .bfloat16), .transpose]
    let narrow = try await convert(source, operations)
    #expect(halves(narrow) == [0, 0x4040, 0x3F80, 0x4080, 0x4000, 0x40A0])
  }

  @Test func `parts of different types are joined once they are cast`() async throws {
    let stored = try StoredTensors([
      "a": Tensor(shape: [2], floats: [1, 2]),
      "b": Tensor(elementType: .bfloat16, shape: [1], bytes: [0x40, 0x40]),
    ])
    var rules = ConversionRules(recipe: "test/1")
    let sources = try ["a", "b"].map { try #require(stored[$0]) }
    let join = TensorOperation.concatenate(axis: 0, sizes: [2, 1])
    rules.rules = [ConversionRule(sources: sources, operations: [join], targets: ["y"])]
    #expect(throws: TesseraError.self) { try ConversionPlan(rules, of: stored.checkpoint) }
    let widen = TensorOperation.each([[], [.cast(from: .bfloat16, to: .float32)]])
    rules.rules = [ConversionRule(sources: sources, operations: [widen, join], targets: ["y"])]
    let result = try await bytes("y", of: stored.converted(by: rules))
    #expect(floats(result) == [1, 2, 3])
  }

  @Test func `a plan casts floats alone, and says what that loses`() throws {
    let stored = try StoredTensors([
      "w": Tensor(shape: [2], floats: [1, 2]), "kept": Tensor(shape: [2], floats: [1, 2]),
      "ids": Tensor(shape: [1], elements: [7 as Int64]),
      "wide": Tensor(elementType: .float16, shape: [1], bytes: [0, 0]),
    ])
    let plan = try ConversionPlan(
      ConversionRules(keeping: stored.checkpoint),
      of: stored.checkpoint
    )
    let cast = try plan.casting(to: .bfloat16) { $0 == "kept" }
    let types = Dictionary(uniqueKeysWithValues: cast.tensors.map { ($0.name, $0.elementType) })
    #expect(types == ["w": .bfloat16, "kept": .float32, "ids": .int64, "wide": .bfloat16])
    let classes = cast.outputs.filter { $0.reversibility == .rounding }.map(\.tensor.name)
    #expect(Set(classes) == ["w", "wide"])
    #expect(try plan.casting(to: .float64).outputs.allSatisfy { $0.reversibility == .exact })
    #expect(throws: TesseraError.self) { try plan.casting(to: .float8E4M3) }
  }
}

/// e^x of small whole numbers by multiplication in float80, to compare with.
private enum StrictExp {
  static func value(_ x: Double) -> Double {
    // e to 30 digits, in two parts.
    let e = Float80(2.718281828459045) + Float80(1.4456468917292502e-16)
    return Double((0..<Int(x)).reduce(Float80(1)) { product, _ in product * e })
  }
}
