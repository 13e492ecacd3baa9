import Conversion
import Fixtures
import Readers
import Tensors
import Testing

@Suite struct TensorSelectionTests {
  private func tensors(_ names: [String]) -> [TensorInfo] {
    names.map { TensorInfo(name: $0, elementType: .float32, shape: [1]) }
  }

  private func selected(_ names: [String], _ selection: TensorSelection) throws -> [String] {
    try selection.rules(for: tensors(names)).rules.flatMap(\.targets)
  }

  @Test func `a choice takes its wrapper off and the rest is named as dropped`() throws {
    let names = ["state_dict.a.b", "state_dict_ema.a.b", "optimizer.ema_rate", "step"]
    #expect(try selected(names, TensorSelection(choice: .model)) == ["a.b"])
    #expect(try selected(names, TensorSelection(choice: .average)) == ["a.b"])
    #expect(try selected(names, TensorSelection(choice: .key("optimizer"))) == ["ema_rate"])
    let rules = try TensorSelection(choice: .average).rules(for: tensors(names))
    #expect(rules.dropped.map(\.name) == ["state_dict.a.b", "optimizer.ema_rate", "step"])
  }

  @Test func `the shallowest wrapper is meant, and slashes separate as dots do`() throws {
    let names = ["net/model/a", "net/head/b", "aux/model/c"]
    #expect(try selected(names, TensorSelection(choice: .model)) == ["model/a", "head/b"])
  }

  @Test func `ambiguous and absent choices list what there is`() throws {
    let error = #expect(throws: SelectionError.self) {
      try selected(["G_ema.a", "D_ema.a", "G.a"], TensorSelection(choice: .average))
    }
    #expect(error?.candidates == ["D_ema", "G_ema"])
    #expect(error?.kind == .mismatch)
    let absent = #expect(throws: SelectionError.self) {
      try selected(["a.b", "a.c", "d.e"], TensorSelection(choice: .key("x")))
    }
    #expect(absent?.candidates == ["a", "d"])
  }

  @Test func `prefixes are taken off, patterns leave out`() throws {
    let names = ["module.a", "module.n.count", "b"]
    let selection = TensorSelection(stripped: ["module.", "*.count"])
    #expect(try selected(names, selection) == ["a", "b"])
    #expect(throws: SelectionError.self) {
      try selected(names, TensorSelection(stripped: ["model."]))
    }
  }

  @Test func `a selection reads the tensors it renames and refuses two of one name`() throws {
    let stored = try StoredTensors(tensors(["m.a", "m.b", "c"]))
    let selection = TensorSelection(choice: .key("m"))
    let part = try SelectedCheckpoint(selection, of: stored.checkpoint)
    #expect(part.tensors.map(\.name) == ["a", "b"])
    #expect(part.dropped.map(\.name) == ["c"])
    var read = [UInt8](repeating: 0, count: 4)
    try read.withUnsafeMutableBytes { try part.read(0..<1, of: part.tensors[1], into: $0) }
    #expect(try read == bytes("m.b", of: stored.checkpoint))
    let clash = try StoredTensors(tensors(["x.a", "a"]))
    #expect(throws: PlanError.self) {
      try SelectedCheckpoint(TensorSelection(stripped: ["x."]), of: clash.checkpoint)
    }
  }

  @Test func `only aliases that pass through the same operations are ties`() throws {
    let names = ["a", "b", "c"]
    let checkpoint = AliasedTensors(
      tensors: names.map { name in
        TensorInfo(
          name: name,
          elementType: .float32,
          shape: [2, 3],
          aliasOf: name == "a" ? nil : "a"
        )
      }
    )
    var rules = ConversionRules(recipe: "test/1")
    rules.rules = [
      ConversionRule(checkpoint.tensors[0], [.split(axis: 0, sizes: [1, 1])], to: ["x", "y"]),
      ConversionRule(checkpoint.tensors[1], [.split(axis: 0, sizes: [1, 1])], to: ["z", "w"]),
      ConversionRule(checkpoint.tensors[2], [.transpose], to: "t"),
    ]
    let plan = try ConversionPlan(rules, of: checkpoint)
    let ties = plan.ties(in: checkpoint)
    #expect(ties.map { "\($0.name)=\($0.original)" } == ["z=x", "w=y"])
    let dropped = plan.dropping(ties)
    #expect(dropped.outputs.map(\.tensor.name) == ["x", "y", "t"])
    #expect(dropped.dropped.map(\.reason) == ["tied to 'x'", "tied to 'y'"])
  }
}

extension ConversionRule {
  fileprivate init(_ source: TensorInfo, _ operations: [TensorOperation], to targets: [String]) {
    self.init(sources: [source], operations: operations, targets: targets)
  }
}

/// Tensors that share one storage, without data.
private struct AliasedTensors: CheckpointReader {
  let tensors: [TensorInfo]
  let format = "test"
  let attributes: [String: String] = [:]
  let notes: [String] = []

  func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {}
}
