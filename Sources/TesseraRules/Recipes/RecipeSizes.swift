import TesseraCheckpoints
import TesseraCore

/// The sizes of a checkpoint, solved from its shapes and checked in all of them.
struct RecipeSizes {
  private let recipe: Recipe
  /// The sizes that all rules share.
  private(set) var known: [String: Int]
  /// What gave each of them.
  private var origins: [String: String] = [:]
  /// What the user should know.
  private(set) var notes: [String] = []

  /// Solves the sizes.
  ///
  /// - Parameters:
  ///   - recipe: The recipe.
  ///   - matching: The tensors, and the numbers of layers.
  ///   - input: The settings beside the tensors.
  ///   - settings: Sizes that the user states.
  /// - Throws: `TesseraError` where shapes contradict each other or a size is not to be found.
  init(
    _ recipe: Recipe,
    _ matching: RecipeMatching,
    _ input: RecipeInput,
    settings: [String: Int]
  ) throws {
    self.recipe = recipe
    let declared = Set(recipe.sizes.map(\.name))
    if let other = settings.keys.sorted().first(where: { !declared.contains($0) }) {
      let list = declared.sorted().joined(separator: ", ")
      let cause = list.isEmpty ? "has no sizes to set" : "has no size '\(other)'; it has \(list)"
      throw TesseraError.mismatch(cause).inRecipe(recipe.identifier)
    }
    known = settings
    for name in settings.keys { origins[name] = "--set" }
    solve(matching.matches, declared)
    for size in recipe.sizes { take(size, from: input) }
    solve(matching.matches, declared)
    for size in recipe.sizes where known[size.name] == nil {
      // One at a time: a default may be what another size needs to be solved.
      known[size.name] = size.fallback?.value(known)
      solve(matching.matches, declared)
    }
    for match in matching.matches { _ = try sizes(of: match) }
    known.merge(matching.counts) { size, _ in size }
  }

  private mutating func solve(_ matches: [RecipeMatching.Match], _ declared: Set<String>) {
    var isGrowing = true
    while isGrowing {
      isGrowing = false
      for match in matches {
        for (tensor, shape) in zip(match.sources, match.shapes ?? [])
        where shape.count == tensor.shape.rank {
          for (axis, extent) in shape.enumerated() {
            guard let (name, value) = extent.solved(for: tensor.shape[axis], known),
              declared.contains(name), value > 0
            else { continue }
            known[name] = value
            origins[name] = tensor.name
            isGrowing = true
          }
        }
      }
    }
  }

  /// Takes a size from the settings, or compares it with them where shapes have given it.
  private mutating func take(_ size: RecipeSize, from input: RecipeInput) {
    for key in size.keys[0] {
      guard let stated = input.setting(key, in: recipe.left)?.wholeNumber else { continue }
      guard let solved = known[size.name] else {
        known[size.name] = stated
        origins[size.name] = key
        return
      }
      if solved != stated {
        let origin = origins[size.name] ?? ""
        notes.append("'\(key)' states \(stated), but \(origin) has \(size.name) = \(solved): taken")
      }
      return
    }
  }

  /// The sizes in one rule's shapes, its own ones included.
  ///
  /// - Throws: `TesseraError` that names the tensor whose shape differs, and the one it differs from.
  func sizes(of match: RecipeMatching.Match) throws(TesseraError) -> [String: Int] {
    guard let shapes = match.shapes else { return known }
    var sizes = known
    for (tensor, shape) in zip(match.sources, shapes) {
      guard shape.count == tensor.shape.rank else {
        let expected = shape.map(\.description).joined(separator: ", ")
        throw failure(tensor, "has shape \(tensor.shape), not [\(expected)]")
      }
      for (axis, extent) in shape.enumerated() {
        if let (name, value) = extent.solved(for: tensor.shape[axis], sizes), value >= 0 {
          sizes[name] = value
        }
      }
      for (axis, extent) in shape.enumerated() {
        guard let value = extent.value(sizes) else {
          throw failure(tensor, unknown(extent, sizes, tensor.shape[axis], in: match))
        }
        if value != tensor.shape[axis] { throw failure(tensor, mismatch(axis, extent, value)) }
      }
    }
    return sizes
  }

  private func failure(_ tensor: TensorInfo, _ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, place: tensor.name).inRecipe(recipe.identifier)
  }

  private func mismatch(_ axis: Int, _ extent: SizeExpression, _ value: Int) -> String {
    let sources = extent.names.compactMap { name in
      origins[name].map { "\(name) = \(known[name] ?? 0) by \($0)" }
    }
    let why = sources.isEmpty ? "" : " (\(sources.joined(separator: ", ")))"
    return "its axis \(axis) should be \(extent) = \(value)\(why)"
  }

  private func unknown(
    _ extent: SizeExpression,
    _ sizes: [String: Int],
    _ found: Int,
    in match: RecipeMatching.Match
  ) -> String {
    let missing = extent.names.filter { sizes[$0] == nil }
    guard let first = missing.first else {
      return "an extent of \(found) is not \(extent)" + given(extent, sizes)
    }
    if let size = recipe.sizes.first(where: { $0.name == first }) {
      return "the size '\(first)' (\(size.meaning)) stands in no shape and no setting: "
        + "give --set \(first)=N"
    }
    if missing.count == 1, extent.names.count > 1 {
      return "an extent of \(found) is not \(extent)" + given(extent, sizes)
    }
    let other = recipe.rules.first { rule in
      rule.label != match.rule.label
        && (rule.definition.shapes ?? []).joined().contains { $0.names.contains(first) }
    }
    if let other {
      return "the size '\(first)' in \(extent) = \(found) is also in the rule for "
        + "'\(other.label)', but rules share only sizes that the recipe declares: declare "
        + "'\(first)' under 'sizes'"
    }
    return "the size '\(first)' does not follow from \(extent) = \(found): declare it under "
      + "'sizes' of the recipe, then another shape, a setting or --set can give it"
  }

  private func given(_ extent: SizeExpression, _ sizes: [String: Int]) -> String {
    let known = extent.names.compactMap { name in
      sizes[name].map { "\(name) = \($0)" + (origins[name].map { " by \($0)" } ?? "") }
    }
    return known.isEmpty ? "" : " with \(known.joined(separator: ", "))"
  }
}

extension JSONValue {
  /// A whole number, also where a file states numbers as text.
  var wholeNumber: Int? {
    if let number { return Int(exactly: number) }
    return string.flatMap { Int($0) }
  }
}
