import Fixtures
import Foundation
import TesseraCore
import TesseraTokenizers
import Testing

/// Latents with the codes and values of a reference implementation (fixtures/quantizers/README.md).
struct FiniteScalarCase: Decodable, Sendable, CustomTestStringConvertible {
  let variant: FiniteScalarQuantizer.Variant
  let levels: [Int]
  let latents: [Float]
  let codes: [UInt32]
  let values: [Float]?

  var testDescription: String { "\(variant.rawValue) \(levels)" }

  static func all() throws -> [FiniteScalarCase] {
    let json = try Data(contentsOf: URL(filePath: Fixtures.path("quantizers/finite-scalar.json")))
    return try JSONDecoder().decode([FiniteScalarCase].self, from: json)
  }
}

@Suite struct FiniteScalarQuantizerTests {
  @Test(arguments: try FiniteScalarCase.all())
  func `codes and values equal the reference's`(golden: FiniteScalarCase) throws {
    let quantizer = try FiniteScalarQuantizer(variant: golden.variant, levels: golden.levels)
    #expect(quantizer.vocabularySize == golden.levels.reduce(1, *))
    #expect(try quantizer.quantize(golden.latents).codes == golden.codes)
    guard let values = golden.values else {
      #expect(throws: TesseraError.self) { try quantizer.values(of: golden.codes) }
      return
    }
    #expect(try quantizer.values(of: golden.codes) == values)
  }

  @Test(arguments: FiniteScalarQuantizer.Variant.allCases)
  func `every code comes back from its digits`(variant: FiniteScalarQuantizer.Variant) throws {
    let levels = variant == .s3 ? [3, 3, 3, 3] : [3, 5, 7, 9]
    let quantizer = try FiniteScalarQuantizer(variant: variant, levels: levels)
    let codes = (0..<UInt32(quantizer.vocabularySize)).map { $0 }
    let digits = try quantizer.digits(of: codes)
    #expect(digits[..<8] == [0, 0, 0, 0, 1, 0, 0, 0])
    #expect(try quantizer.codes(ofDigits: digits) == codes)
  }

  @Test func `zero latents lie on ties, which go to the even level`() throws {
    // bojone/FSQ on numpy: round(2.5), round(0.5), round(4.5).
    let quantizer = try FiniteScalarQuantizer(variant: .sigmoid, levels: [6, 2, 10])
    let zero = try quantizer.quantize([0, 0, 0])
    #expect(try quantizer.digits(of: zero.codes) == [2, 0, 4])
    #expect(zero.margins == [0])
  }

  @Test func `the margin is that of the least certain dimension`() throws {
    let quantizer = try FiniteScalarQuantizer(variant: .sigmoid, levels: [5, 5])
    // sigmoid(0) = 0.5 is level 2 exactly; 4 sigmoid(0.4) = 2.3947507.
    let margin = try quantizer.quantize([0, 0.4, 0, 0]).margins
    #expect(abs(margin[0] - 0.1052493) < 1e-6)
    #expect(margin[1] == 0.5)
  }

  @Test func `two to the thirty-two codes fit`() throws {
    let quantizer = try FiniteScalarQuantizer(
      variant: .symmetric,
      levels: [Int](repeating: 2, count: 32)
    )
    let latents = [Float](repeating: 5, count: 32)
    #expect(quantizer.vocabularySize == 1 << 32)
    #expect(try quantizer.quantize(latents).codes == [UInt32.max])
    #expect(try quantizer.values(of: [UInt32.max]) == [Float](repeating: 1, count: 32))
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func `a latent that is not finite is named`(latent: Float) throws {
    let quantizer = try FiniteScalarQuantizer(variant: .atanh, levels: [8, 5])
    let error = #expect(throws: TesseraError.self) {
      try quantizer.quantize([0, 0, 0, 0, 0, latent])
    }
    #expect(error == .notFinite(index: 5, dimensions: 2))
    #expect(error?.kind == .numericLimit)
    #expect(error?.description.contains("position 2, dimension 1") == true)
  }

  @Test func `codes, digits and shapes out of range are refused`() throws {
    let quantizer = try FiniteScalarQuantizer(variant: .atanh, levels: [8, 5])
    #expect(throws: TesseraError.self) { try quantizer.values(of: [40]) }
    #expect(throws: TesseraError.self) { try quantizer.digits(of: [39, 40]) }
    #expect(throws: TesseraError.self) { try quantizer.codes(ofDigits: [7, 5]) }
    #expect(throws: TesseraError.self) { try quantizer.codes(ofDigits: [7]) }
    #expect(throws: TesseraError.self) { try quantizer.quantize([0, 0, 0]) }
  }

  @Test(arguments: [
    (FiniteScalarQuantizer.Variant.atanh, []), (.atanh, [1, 5]), (.atanh, [1001]), (.s3, [3, 5]),
    (.ifsq, [8]), (.symmetric, [65_537]), (.sigmoid, [65_536, 65_536, 2]), (.paperTan, [-8]),
    (.symmetric, [Int](repeating: 2, count: 65)),
  ])
  func `levels that a variant does not have are refused`(
    variant: FiniteScalarQuantizer.Variant,
    levels: [Int]
  ) {
    #expect(throws: TesseraError.self) {
      try FiniteScalarQuantizer(variant: variant, levels: levels)
    }
  }

  @Test(arguments: [Float(0), 0.01, 0.1, 0.3, 1, 3, 8, 30, 1e30, .leastNonzeroMagnitude])
  func `the widest atanh levels stay in range`(magnitude: Float) throws {
    let quantizer = try FiniteScalarQuantizer(variant: .atanh, levels: [1000, 999])
    let codes = try quantizer.quantize([magnitude, magnitude, -magnitude, -magnitude]).codes
    #expect(codes.allSatisfy { $0 < 999_000 })
  }
}

@Suite struct QuantizerSpecificationTests {
  @Test func `a specification is read and written`() throws {
    let json = #"{"kind": "fsq", "variant": "paper-tan", "levels": [8, 5]}"#
    let specification = try QuantizerSpecification(parsing: Array(json.utf8))
    let expected = try FiniteScalarQuantizer(variant: .paperTan, levels: [8, 5])
    #expect(specification == .finiteScalar(expected))
    let written = try JSONEncoder().encode(specification)
    #expect(try QuantizerSpecification(parsing: Array(written)) == specification)
  }

  @Test(arguments: [
    (#"{"kind":"kmeans"}"#, "known: fsq"),
    (#"{"variant":"atanh","levels":[8]}"#, "'kind' is missing"),
    (#"{"kind":"fsq","levels":[8]}"#, "'variant' is missing"),
    (#"{"kind":"fsq","variant":"tan","levels":[8]}"#, "paper-tan atanh symmetric"),
    (#"{"kind":"fsq","variant":"atanh","levels":[8],"eps":0.1}"#, "'eps' is not known"),
    (#"{"kind":"fsq","variant":"atanh","levels":[8.5]}"#, "'levels'"),
    (#"{"kind":"fsq","variant":"atanh","levels":"8"}"#, "'levels'"),
    (#"{"kind":"fsq","variant":"atanh","levels":[]}"#, "0 dimensions"),
    (#"["fsq"]"#, "not a JSON object"), ("{", "not a JSON object"), ("", "not a JSON object"),
  ])
  func `a specification that says anything else is refused`(json: String, reason: String) {
    let error = #expect(throws: TesseraError.self) {
      try QuantizerSpecification(parsing: Array(json.utf8))
    }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
