import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct ShippedRecipeTests {
  static let recipes = (try? RecipeCatalog().recipes) ?? []

  /// Numbers that repeat from run to run.
  private struct Draw: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 33
    }
  }

  /// A checkpoint on the left side with random shapes and values.
  private func example(_ recipe: Recipe, seed: UInt64) throws -> ([String: Tensor], [String: Int]) {
    var generator = Draw(state: seed)
    let (infos, sizes) = try #require(recipe.example(using: &generator))
    var tensors: [String: Tensor] = [:]
    for info in infos {
      let count = info.shape.elementCount ?? 0
      let values = (0..<count).map { _ in Float.random(in: -2...2, using: &generator) }
      tensors[info.name] = Tensor(shape: info.shape, floats: values)
    }
    return (tensors, sizes)
  }

  private func plan(
    _ recipe: Recipe,
    _ checkpoint: any CheckpointReader,
    _ sizes: [String: Int]
  ) throws -> ConversionPlan {
    let names = Set(recipe.sizes.map(\.name))
    let settings = sizes.filter { names.contains($0.key) }
    return try ConversionPlan([recipe], of: checkpoint, settings: settings)
  }

  /// An example whose sizes divide one another where the settings ask for a ratio: drawn until it does.
  private func fittingExample(
    _ recipe: Recipe,
    seed: UInt64
  ) throws -> ([String: Tensor], [String: Int], StoredTensors, ConversionPlan) {
    var attempt: UInt64 = 0
    while true {
      let (tensors, sizes) = try example(recipe, seed: seed &* 1009 &+ attempt)
      let stored = try StoredTensors(tensors)
      do {
        return (tensors, sizes, stored, try plan(recipe, stored.checkpoint, sizes))
      } catch let error as TesseraError {
        let isRatio = error.description.contains("/") && error.description.contains("is not known")
        guard isRatio, attempt < 1000 else { throw error }
        attempt += 1
      }
    }
  }

  @Test func `all of them are there`() { #expect(Self.recipes.count >= 27) }

  @Test(arguments: recipes, [1, 2] as [UInt64])
  func `the inverse gives the same bytes, or the same numbers where it rounds`(
    recipe: Recipe,
    seed: UInt64
  ) async throws {
    let (tensors, sizes, stored, forward) = try fittingExample(recipe, seed: seed)
    let there = try TemporaryFolder()
    let path = "\(there.path)/there.pt"
    let files = try await CheckpointConversion(of: stored.checkpoint, plan: forward).write(
      to: path,
      format: .pytorch
    )
    let middle = try Checkpoint.open(files.result)
    let back = try plan(recipe.inverted(), middle, sizes)
    let result = "\(there.path)/back.safetensors"
    _ = try await CheckpointConversion(of: middle, plan: back).write(to: result)
    let after = try SafetensorsCheckpoint(path: result)
    let dropped = Set(forward.dropped.map(\.name))
    #expect(Set(after.tensors.map(\.name)) == Set(tensors.keys).subtracting(dropped))
    let inexact = forward.outputs.filter { $0.reversibility != .exact }
    let rounded = Set(inexact.flatMap(\.sources))
    for (name, tensor) in tensors where !dropped.contains(name) {
      let data = try bytes(name, of: after)
      if !rounded.contains(name) {
        #expect(data == tensor.bytes, "\(name)")
        continue
      }
      let numbers: [Float] =
        Tensor(elementType: .float32, shape: tensor.shape, bytes: data).elements() ?? []
      for (a, b) in zip(numbers, tensor.elements(as: Float.self) ?? []) {
        #expect(abs(a - b) <= 1e-6 * max(1, abs(b)), "\(name)")
      }
    }
  }

  /// Why a recipe does not take a checkpoint, which is a mismatch.
  private func refusal(
    of checkpoint: any CheckpointReader,
    by recipe: Recipe,
    _ sizes: [String: Int]
  ) -> TesseraError? {
    let error =
      #expect(throws: (any Error).self) {
        try plan(recipe, checkpoint, sizes)
      } as? TesseraError
    #expect(error?.kind == .mismatch)
    return error
  }

  @Test(arguments: recipes)
  func `a second application is refused`(recipe: Recipe) async throws {
    let (_, sizes, stored, forward) = try fittingExample(recipe, seed: 4)
    let path = "\(stored.folder.path)/there.safetensors"
    _ = try await CheckpointConversion(of: stored.checkpoint, plan: forward).write(to: path)
    let there = try SafetensorsCheckpoint(path: path)
    let error = refusal(of: there, by: recipe, sizes)
    #expect(error?.description.contains("already") == true, "\(error?.description ?? "")")
  }

  @Test(arguments: recipes)
  func `a missing, an unknown and a misshapen tensor are named`(recipe: Recipe) throws {
    let (tensors, sizes) = try example(recipe, seed: 3)
    // A tensor that may be absent may be absent; of the others, each is missed by name.
    var missed = 0
    for name in tensors.keys.sorted().prefix(60) {
      var fewer = tensors
      fewer[name] = nil
      let stored = try StoredTensors(fewer)
      do {
        _ = try plan(recipe, stored.checkpoint, sizes)
      } catch let error as TesseraError {
        missed += 1
        #expect(error.kind == .mismatch, "\(name): \(error)")
        #expect(!error.description.contains("\n") && !error.description.isEmpty)
      }
    }
    #expect(missed > 0, "\(recipe.name)")
    let hasFallback = recipe.summaries.contains { $0.left == "{rest:dotted}" }
    if !hasFallback {
      var more = tensors
      more["zzz"] = Tensor(shape: [1], floats: [1])
      let error = try refusal(of: StoredTensors(more).checkpoint, by: recipe, sizes)
      #expect(error?.description.hasPrefix("zzz: ") == true)
    }
    let shaped = tensors.keys.sorted().first { name in
      recipe.summaries.contains { !$0.shape.isEmpty && $0.left == name }
    }
    if let name = shaped, let tensor = tensors[name] {
      var other = tensors
      let shape = Shape(tensor.shape.dimensions + [1])
      other[name] = Tensor(elementType: .float32, shape: shape, bytes: tensor.bytes)
      let error = try refusal(of: StoredTensors(other).checkpoint, by: recipe, sizes)
      #expect(error?.description.contains(name) == true)
    }
  }
}

@Suite struct RecipeFileTests {
  private func text(_ rules: String, _ more: String = "") -> String {
    """
    {"name": "t.a-b", "version": 1, "title": "t", "family": "t", "left": "a", "right": "b",
     "sizes": {"d": "width"}, "rules": [\(rules)]\(more)}
    """
  }

  @Test(arguments: [
    (#"{"left": "x", "right": "y"}, {"left": "{a:dotted}", "right": "z.{a}"}"#, "same names"),
    (#"{"left": "x.{L:int}", "right": "y"}"#, "different placeholders"),
    (#"{"left": "x.{L:int", "right": "y"}"#, "'{' without '}'"),
    (#"{"left": "x.{w:q|k", "right": "y.{w:q|k"}"#, "'{' without '}'"),
    (#"{"left": "x.{w:q|k{L:int}|v}", "right": "y.{w:q|k{L:int}|v}"}"#, "'}' without '{'"),
    (#"{"left": "x.{L:real}", "right": "y.{L}"}"#, "a placeholder is"),
    (#"{"left": "x", "right": "y", "operations": ["rotate"]}"#, "no operation 'rotate'"),
    (#"{"left": "x", "right": "y", "shape": ["d+"]}"#, "is no size"),
    (#"{"left": "x", "right": "y", "shapes": [["d"], ["d"]]}"#, "2 shapes for 1 tensors"),
    (#"{"left": "x", "rigth": "y"}"#, "the field 'rigth' is not known"),
    (#"{"left": "x.{w:q|k}", "right": "y.{w:a|b|c}"}"#, "another number of alternatives"),
    ("", "has no rules"),
  ])
  func `a recipe that is none says why`(rules: String, cause: String) {
    let error = #expect(throws: TesseraError.self) {
      try Recipe(parsing: text(rules), file: "r.json")
    }
    #expect(error?.description.contains(cause) == true, "\(error?.description ?? "")")
    #expect(error?.kind == .malformedInput)
  }

  @Test func `a reshape without a shape has no inverse`() throws {
    let rule = #"{"left": "x", "right": "y", "operations": [{"reshape": ["d", 1]}]}"#
    let recipe = try Recipe(parsing: text(rule), file: "r.json")
    #expect(throws: TesseraError.self) { try recipe.inverted() }
  }

  @Test func `sizes that contradict each other name both tensors`() throws {
    let rules = #"""
      {"left": "x", "right": "y", "shape": ["d", 3]}, {"left": "v", "right": "w", "shape": ["2*d"]}
      """#
    let recipe = try Recipe(parsing: text(rules), file: "r.json")
    let stored = try StoredTensors([
      "x": Tensor(shape: [4, 3], floats: Array(repeating: 0, count: 12)),
      "v": Tensor(shape: [6], floats: Array(repeating: 0, count: 6)),
    ])
    let error = #expect(throws: TesseraError.self) {
      try ConversionPlan([recipe], of: stored.checkpoint)
    }
    let text = error?.description ?? ""
    #expect(text.contains("x") && text.contains("v") && text.contains("axis 0"), "\(text)")
  }

  @Test(arguments: [
    (#"{"left": "v", "right": "w", "shape": ["h*e", 2]}"#, "also in the rule for 'x'"),
    (
      #"{"left": "v", "right": "w", "operations": [{"reshape": ["h", "8/h"]}]}"#,
      "no shape of this rule"
    ),
    (#"{"left": "v", "right": "w", "shape": ["k*e", 2]}"#, "does not follow from k*e = 4"),
  ])
  func `a size that rules share must be declared, which the error says`(
    rule: String,
    cause: String
  ) throws {
    let recipe = try Recipe(
      parsing: text(#"{"left": "x", "right": "y", "shape": ["h", 3]}, "# + rule),
      file: "r.json"
    )
    let stored = try StoredTensors([
      "x": Tensor(shape: [2, 3], floats: Array(repeating: 0, count: 6)),
      "v": Tensor(shape: [4, 2], floats: Array(repeating: 0, count: 8)),
    ])
    let error = #expect(throws: TesseraError.self) {
      try ConversionPlan([recipe], of: stored.checkpoint)
    }
    let text = error?.description ?? ""
    #expect(text.contains(cause) && text.contains("under 'sizes'"), "\(text)")
    #expect(text.contains(rule.contains("k*e") ? "'k'" : "'h'"), "\(text)")
  }

  @Test func `a size that nothing gives is asked for by name`() throws {
    let rule =
      #"{"left": "x", "right": "y", "shape": [6], "operations": [{"reshape": ["d", "6/d"]}]}"#
    let recipe = try Recipe(parsing: text(rule), file: "r.json")
    let stored = try StoredTensors(["x": Tensor(shape: [6], floats: [1, 2, 3, 4, 5, 6])])
    let error = #expect(throws: TesseraError.self) {
      try ConversionPlan([recipe], of: stored.checkpoint)
    }
    #expect(error?.description.contains("'d'") == true)
    let plan = try ConversionPlan([recipe], of: stored.checkpoint, settings: ["d": 2])
    #expect(plan.tensors.map(\.shape) == [[2, 3]])
    #expect(throws: TesseraError.self) {
      try ConversionPlan([recipe], of: stored.checkpoint, settings: ["q": 2])
    }
  }
}
