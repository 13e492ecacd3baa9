import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
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
    let error = #expect(throws: TesseraError.self) {
      try selected(["model_ema.a", "params_ema.a", "G.a"], TensorSelection(choice: .average))
    }
    #expect(error?.cause.hasSuffix("; there is 'model_ema', 'params_ema'") == true)
    #expect(error?.kind == .mismatch)
    let absent = #expect(throws: TesseraError.self) {
      try selected(["a.b", "a.c", "d.e"], TensorSelection(choice: .key("x")))
    }
    #expect(absent?.cause.hasSuffix("; there is 'a', 'd'") == true)
  }

  @Test(arguments: [
    // EDM; StyleGAN; SiD's training state; ema-pytorch; DMD2; IGN; LitEma of latent diffusion.
    (["ema.model.a", "loss_fn.b"], ["model.a"]),
    (["G.a", "D.a", "G_ema.a", "augment_pipe.b"], ["a"]),
    (["fake_score.a", "G.a", "G_ema.a", "g_optimizer_state.state.0.step"], ["a"]),
    (["ema.ema_model.a.b", "ema.online_model.a.b", "ema.initted", "ema.step"], ["a.b"]),
    (["feedforward_model.a", "guidance_model.fake_unet.a", "guidance_model.real_unet.a"], ["a"]),
    (["f.a", "f_copy.a", "optimizer.state.0.exp_avg"], ["a"]),
    (["state_dict.model.x.w", "state_dict.model_ema.xw", "state_dict.model_ema.decay"], ["x.w"]),
    (["G_ema/a", "D_ema/a", "G/a"], ["a"]),
  ])
  func `the candidate of the highest score is the average`(names: [String], kept: [String]) throws {
    #expect(try selected(names, TensorSelection(choice: .average)) == kept)
    let rules = try TensorSelection(choice: .average).rules(for: tensors(names))
    #expect(rules.dropped.count == names.count - kept.count)
    #expect(rules.notes.contains { $0.contains("score") })
  }

  @Test(arguments: [
    ["ema.shadow_params.0", "model.a"], ["model.a", "optimizer.b"], ["D_ema.a", "teacher_ema.a"],
    ["model_ema.ab", "model_ema.cd", "model.a.b"],
  ])
  func `what is no average, or none with names, is refused`(names: [String]) {
    #expect(throws: TesseraError.self) {
      try selected(names, TensorSelection(choice: .average))
    }
  }

  @Test func `candidates have their roles and scores`() {
    let names = [
      "G.a", "G_ema.a", "G_ema.b", "D.a", "teacher.a", "x.copy_machine.a", "blocks.0.x_g.a",
    ]
    let found = WeightCandidate.all(among: tensors(names))
    #expect(found.map(\.prefix) == ["G_ema", "G", "D", "teacher"])
    #expect(found.map(\.role) == [.generatorAverage, .student, .discriminator, .teacher])
    #expect(found.map(\.role.score) == [4, 2, 0, 0] && found.map(\.tensors) == [2, 1, 1, 1])
  }

  @Test func `prefixes are taken off, patterns leave out`() throws {
    let names = ["module.a", "module.n.count", "b"]
    let selection = TensorSelection(stripped: ["module.", "*.count"])
    #expect(try selected(names, selection) == ["a", "b"])
    #expect(throws: TesseraError.self) {
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
    #expect(throws: TesseraError.self) {
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
private struct AliasedTensors: PlacedCheckpoint {
  let tensors: [TensorInfo]
  let format = "test"
  let attributes: [String: String] = [:]
  let notes: [String] = []

  func place(of tensor: TensorInfo) -> (any TensorPlace)? { nil }
}
