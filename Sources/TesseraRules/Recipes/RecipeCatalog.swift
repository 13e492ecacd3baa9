import CRecipes
package import TesseraCheckpoints
package import TesseraCore

/// The recipes that are part of the program, and the ways from one layout to another.
package struct RecipeCatalog: Sendable {
  /// All recipes, by name.
  package let recipes: [Recipe]

  /// The shipped recipes.
  ///
  /// - Throws: `TesseraError`; never for a program whose tests have passed.
  package init() throws(TesseraError) { self.init(try Self.shipped.get()) }

  /// Read once: `convert` asks for them more than once.
  private static let shipped = Result { () throws(TesseraError) -> [Recipe] in
    var recipes: [Recipe] = []
    for index in 0..<tessera_recipe_count {
      let file = unsafe tessera_recipe(index)
      let bytes = unsafe UnsafeBufferPointer(start: file.text, count: file.size)
      let name = unsafe String(cString: file.name)
      recipes.append(try Recipe(parsing: unsafe String(decoding: bytes, as: UTF8.self), file: name))
    }
    return recipes
  }

  /// A catalog of these recipes.
  package init(_ recipes: [Recipe]) { self.recipes = recipes.sorted { $0.name < $1.name } }

  /// The recipe of a name, or its inverse's.
  ///
  /// - Throws: `TesseraError` where there is none, with names that resemble it.
  package func recipe(named name: String) throws(TesseraError) -> Recipe {
    if let recipe = recipes.first(where: { $0.name == name }) { return recipe }
    for recipe in recipes
    where RecipeName.inverted(recipe.name, recipe.left.name, recipe.right.name) == name {
      return try recipe.inverted()
    }
    let family = name.prefix { $0 != "." }
    let similar = recipes.map(\.name).filter { $0.hasPrefix(family) }
    let list = similar.isEmpty ? "see `tessera recipes list`" : similar.joined(separator: ", ")
    throw TesseraError.mismatch("there is no recipe '\(name)': \(list)")
  }

  /// The recipe of a name, or in a file: a path ends in `.json` or has a slash.
  ///
  /// - Throws: `TesseraError`.
  package func recipe(at name: String) throws -> Recipe {
    guard name.hasSuffix(".json") || name.contains("/") else { return try recipe(named: name) }
    let bytes = try FileDigest.bytes(of: name, maximumBytes: ReadLimit.description)
    return try Recipe(parsing: TextFile.text(of: bytes, from: name), file: name)
  }

  /// A layout of a family, with the recipes that start there.
  struct Node: Hashable {
    let family: String
    let layout: String
  }

  /// The names of all layouts.
  package var layouts: Set<String> { Set(recipes.flatMap { [$0.left.name, $0.right.name] }) }

  /// The recipes that bring a checkpoint into a layout, in the order in which they apply.
  ///
  /// - Parameters:
  ///   - layout: The name of a layout, such as `hf`, or with its family, `mamba.hf`.
  ///   - input: The tensors, whose names and settings say what layout they have.
  /// - Returns: At least one recipe.
  /// - Throws: `TesseraError` where no family, or more than one, has such names and the layout.
  package func way(to layout: String, from input: RecipeInput) throws(TesseraError) -> [Recipe] {
    let ends = self.ends(named: layout)
    guard !ends.isEmpty else {
      let list = layouts.sorted().joined(separator: ", ")
      throw TesseraError.mismatch("there is no layout '\(layout)'; there are \(list)")
    }
    let starts = self.starts(of: input, towards: ends)
    guard let start = starts.first else {
      let cause = "its names fit no layout from which a recipe leads to '\(layout)'"
      throw TesseraError.mismatch(cause, place: "the checkpoint")
    }
    guard starts.count == 1 else { throw ambiguity(starts) }
    if ends.contains(start) {
      let cause = "is in the layout '\(start.layout)' of \(start.family) already"
      throw TesseraError.mismatch(cause, place: "the checkpoint")
    }
    guard let way = try way(from: start, to: ends.first { $0.family == start.family }) else {
      let cause = "no recipes lead from '\(start.layout)' to '\(layout)' in \(start.family)"
      throw TesseraError.mismatch(cause, place: "the checkpoint")
    }
    return way
  }

  /// The recipes that bring a checkpoint into a layout, where its names are known: none where they
  /// fit no layout from which a recipe leads there, or that one already.
  ///
  /// - Parameters:
  ///   - layout: The name of a layout, as for `way(to:from:)`.
  ///   - input: The tensors and settings.
  /// - Returns: The recipes in the order in which they apply.
  /// - Throws: `TesseraError` where the names fit several layouts, whose recipes differ.
  package func wayIfKnown(
    to layout: String,
    from input: RecipeInput
  ) throws(TesseraError) -> [Recipe] {
    let ends = self.ends(named: layout)
    let starts = self.starts(of: input, towards: ends)
    guard let start = starts.first, !starts.allSatisfy({ ends.contains($0) }) else { return [] }
    guard starts.count == 1 else { throw ambiguity(starts) }
    return try way(from: start, to: ends.first { $0.family == start.family }) ?? []
  }

  /// The layouts of all families with a name.
  private func ends(named layout: String) -> Set<Node> {
    Set(recipes.flatMap { [node($0, 0), node($0, 1)] }).filter {
      $0.layout == layout || "\($0.family).\($0.layout)" == layout
    }
  }

  /// The layouts whose names a checkpoint has, in the families of the ends.
  private func starts(of input: RecipeInput, towards ends: Set<Node>) -> [Node] {
    starts(of: input).filter { start in ends.contains { $0.family == start.family } }
  }

  private func ambiguity(_ starts: [Node]) -> TesseraError {
    let list = starts.map { "\($0.family).\($0.layout)" }.sorted().joined(separator: ", ")
    let cause = "its names fit several layouts (\(list)): name one with --recipe"
    return TesseraError.mismatch(cause, place: "the checkpoint")
  }

  private func node(_ recipe: Recipe, _ side: Int) -> Node {
    Node(family: recipe.family, layout: side == 0 ? recipe.left.name : recipe.right.name)
  }

  /// The layouts whose names a checkpoint has, the best ones alone.
  private func starts(of input: RecipeInput) -> [Node] {
    if let stated = input.attributes["tessera.layout"] {
      let known = recipes.flatMap { [node($0, 0), node($0, 1)] }
      if let node = known.first(where: { "\($0.family).\($0.layout)" == stated }) { return [node] }
    }
    var scores: [Node: Double] = [:]
    for recipe in recipes {
      for side in 0...1 {
        let agrees = recipe.marksAgree(input, on: side)
        if agrees == false { continue }
        let counts = recipe.counts(of: input, on: side)
        let matched = input.tensors.count { recipe.matches($0.name, on: side, counts) }
        var score = Double(matched) / Double(max(input.tensors.count, 1))
        // Settings that name the family decide between families with the same names.
        if agrees == true { score += 1 }
        score += coverage(of: input, by: recipe, side)
        scores[node(recipe, side)] = max(scores[node(recipe, side)] ?? 0, score)
      }
    }
    guard let best = scores.values.max(), best > 0.5 else { return [] }
    return scores.filter { $0.value > best - 1e-9 }.map(\.key)
  }

  /// How much of what a side must have is there: it decides where one layout's names are a part of
  /// another's.
  private func coverage(of input: RecipeInput, by recipe: Recipe, _ side: Int) -> Double {
    let needed = recipe.rules.filter {
      !$0.definition.isOptional && $0.definition.group.isEmpty && !$0.definition.isFallback
    }
    guard !needed.isEmpty else { return 0 }
    let counts = recipe.counts(of: input, on: side)
    let found = needed.count { rule in
      rule.sides[side].allSatisfy { template in
        input.tensors.contains { template.match($0.name, counts) != nil }
      }
    }
    return Double(found) / Double(needed.count)
  }

  private func way(from start: Node, to end: Node?) throws(TesseraError) -> [Recipe]? {
    guard let end else { return nil }
    var ways: [Node: [Recipe]] = [start: []]
    var border = [start]
    while let current = border.first, ways[end] == nil {
      border.removeFirst()
      for recipe in recipes where recipe.family == start.family {
        for side in 0...1 where node(recipe, side) == current {
          let next = node(recipe, 1 - side)
          guard ways[next] == nil else { continue }
          let step = side == 0 ? recipe : try recipe.inverted()
          ways[next] = (ways[current] ?? []) + [step]
          border.append(next)
        }
      }
    }
    return ways[end]
  }
}

extension ConversionPlan {
  /// Applies recipes one after another, in one pass over the data.
  ///
  /// - Parameters:
  ///   - recipes: At least one; each starts from the layout that the one before gives.
  ///   - checkpoint: The source.
  ///   - configuration: The text of the `config.json` beside it, or nil.
  ///   - settings: Sizes that the user states; each recipe takes those it knows.
  /// - Throws: `TesseraError`.
  package init(
    _ recipes: [Recipe],
    of checkpoint: any CheckpointReader,
    configuration: String? = nil,
    settings: [String: Int] = [:]
  ) throws {
    let known = Set(recipes.flatMap { $0.sizes.map(\.name) })
    if let other = settings.keys.sorted().first(where: { !known.contains($0) }) {
      let list = known.sorted().joined(separator: ", ")
      throw TesseraError.mismatch("no size '\(other)'; there are: \(list)")
    }
    func given(_ recipe: Recipe) -> [String: Int] {
      settings.filter { setting in recipe.sizes.contains { $0.name == setting.key } }
    }
    guard let first = recipes.first else {
      try self.init(ConversionRules(keeping: checkpoint), of: checkpoint)
      return
    }
    let input = RecipeInput(checkpoint, configuration: configuration)
    let rules = try first.rules(for: input, settings: given(first))
    var plan = try ConversionPlan(rules, of: checkpoint)
    for recipe in recipes.dropFirst() {
      let rules = try recipe.rules(for: RecipeInput(plan), settings: given(recipe))
      plan = try plan.followed(by: rules)
    }
    self = plan
  }
}
