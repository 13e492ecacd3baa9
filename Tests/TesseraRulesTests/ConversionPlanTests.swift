import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct ConversionPlanTests {
  let stored: StoredTensors

  init() throws {
    stored = try StoredTensors(
      ["a", "b"].map { TensorInfo(name: $0, elementType: .float32, shape: [2, 3]) },
      metadata: ["author": "somebody"]
    )
  }

  private func error(_ change: (inout ConversionRules) -> Void) throws -> String {
    var rules = ConversionRules(keeping: stored.checkpoint)
    change(&rules)
    let error = #expect(throws: TesseraError.self) {
      try ConversionPlan(rules, of: stored.checkpoint)
    }
    #expect(error?.kind == .mismatch)
    return try #require(error).description
  }

  @Test func `a mapping that is incomplete or contradicts itself is no plan`() throws {
    let b = try #require(stored["b"])
    #expect(try error { $0.rules.removeLast() } == "b: no rule of 'identity/1' applies to it")
    #expect(
      try error { $0.rules[1] = ConversionRule(b, to: "a") }
        == "a: two tensors of the result have this name"
    )
    #expect(
      try error { $0.rules.append(ConversionRule(b, to: "c")) }
        == "b: two rules of 'identity/1' apply to it"
    )
    #expect(
      try error { $0.drop("b", because: "optimizer state") }
        == "b: two rules of 'identity/1' apply to it"
    )
  }

  @Test func `the result names its source, what was dropped, and keeps the author`() async throws {
    var rules = ConversionRules(keeping: stored.checkpoint)
    rules.rules.removeLast()
    rules.drop("b", because: "optimizer state")
    let result = try await stored.converted(by: rules)
    #expect(result.tensors.map(\.name) == ["a"])
    #expect(result.attributes["author"] == "somebody")
    #expect(result.attributes["format"] == "pt")
    #expect(result.attributes["tessera.dropped"] == "b")
    #expect(result.attributes["tessera.source"] == "in.safetensors")
    #expect(result.attributes["tessera.recipe"] == "identity/1")
    let hash = FileDigest.sha256(of: stored.folder.bytes(of: "in.safetensors") ?? [])
    #expect(result.attributes["tessera.source.sha256"] == hash)
  }

  @Test func `shards appear with an index that opens them`() async throws {
    let rules = ConversionRules(keeping: stored.checkpoint)
    let result = try await stored.converted(by: rules, shardByteLimit: 24)
    #expect(result.files.count == 2)
    #expect(
      stored.folder.names == [
        "in.safetensors", "out-00001-of-00002.safetensors", "out-00002-of-00002.safetensors",
        "out.safetensors.index.json",
      ]
    )
    #expect(try bytes("b", of: result) == bytes("b", of: stored.checkpoint))
  }

  @Test func `a source that becomes shorter fails and leaves no file`() async throws {
    let path = "\(stored.folder.path)/in.safetensors"
    #expect(truncate(path, 100) == 0)
    let rules = ConversionRules(keeping: stored.checkpoint)
    await #expect(throws: TesseraError.self) { try await stored.converted(by: rules) }
    #expect(stored.folder.names == ["in.safetensors"])
  }

  @Test func `implied tensors hold their value in every element`() async throws {
    var rules = ConversionRules(keeping: stored.checkpoint)
    let types: [ElementType] = [.float16, .bfloat16, .float32, .float64]
    for type in types {
      let tensor = TensorInfo(name: type.rawValue, elementType: type, shape: [2])
      rules.imply(tensor, .one, because: "test")
    }
    let result = try await stored.converted(by: rules)
    #expect(try bytes("F16", of: result) == [0, 0x3C, 0, 0x3C])
    #expect(try bytes("BF16", of: result) == [0x80, 0x3F, 0x80, 0x3F])
    #expect(try bytes("F32", of: result) == [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0x3F])
    #expect(try bytes("F64", of: result).suffix(2) == [0xF0, 0x3F])
  }
}
