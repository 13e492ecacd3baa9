import ArgumentParser
import Foundation
import TesseraCore
import TesseraRules

/// `recipes`: what is known of layouts, and whether a checkpoint has one.
struct RecipesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "List, show, check and invert the recipes that lead from one layout to another.",
    discussion: """
      EXAMPLE
        tessera recipes check mamba.hf-gguf model/

      A recipe is a JSON file (schemas/recipe.schema.json): each rule is a pair of names with \
      placeholders, {L:int}, {rest:dotted}, {which:q|k|v}, and operations that have an inverse. \
      `convert --recipe` takes names and files; `convert --to LAYOUT` finds the recipes itself.
      """,
    subcommands: [List.self, Show.self, Check.self, Invert.self],
    defaultSubcommand: List.self
  )

  /// `recipes list`.
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the built-in recipes.",
      discussion: """
        EXAMPLE
          tessera recipes list --json
        """
    )

    @Flag(help: "Print JSON.") var json = false

    private struct Entry: Encodable {
      let name: String
      let version: Int
      let title, family, left, right: String
      let rules: Int
    }

    func run() async throws {
      let entries = try RecipeCatalog().recipes.map {
        Entry(
          name: $0.name,
          version: $0.version,
          title: $0.title,
          family: $0.family,
          left: $0.left.name,
          right: $0.right.name,
          rules: $0.ruleCount
        )
      }
      if json { return try RecipesCommand.write(entries) }
      let rows = entries.map { [$0.name, "\($0.left) ↔ \($0.right)", $0.title] }
      for line in TextTable.lines([["name", "layouts", "for"]] + rows) {
        try StandardOutput.print(line)
      }
    }
  }

  /// `recipes show`.
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the rules of a recipe.",
      discussion: """
        EXAMPLE
          tessera recipes show mamba.hf-gguf
        """
    )

    @Argument(help: "A recipe's name or file.") var recipe: String
    @Flag(help: "Print the recipe's JSON.") var json = false

    func run() async throws {
      let recipe = try RecipeCatalog().recipe(at: recipe)
      if json { return try RecipesCommand.write(recipe.document) }
      try StandardOutput.print("\(recipe.identifier): \(recipe.title)".printable)
      let rows = recipe.summaries.map { rule in
        [rule.left, rule.right, rule.shape, rule.reversibility.rawValue, rule.operations]
      }
      let heads = [recipe.left.name, recipe.right.name, "shape", "undone", "operations"]
      for line in TextTable.lines([heads] + rows) { try StandardOutput.print(line.printable) }
      for size in recipe.sizes {
        try StandardOutput.print("size \(size.name): \(size.meaning)".printable)
      }
      for note in recipe.notes { try StandardOutput.print("note: \(note)".printable) }
    }
  }

  /// `recipes check`.
  struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a recipe, and whether a checkpoint is complete under it.",
      usage: "tessera recipes check <recipe> [<checkpoint>] [<options>]",
      discussion: """
        EXAMPLE
          tessera recipes check mamba.hf-gguf model.safetensors --json

        Without a checkpoint: that the rules do not overlap, that both sides have the same \
        placeholders, and that every operation has an inverse. With one: which side it is on, that \
        no tensor is missing or unknown, and that all shapes agree (exit code 4 otherwise).
        """
    )

    @Argument(help: "A recipe's name or file.") var recipe: String
    @Argument(help: "A checkpoint.") var checkpoint: String?
    @Option(help: ArgumentHelp("A size that the checkpoint does not state.", valueName: "size=N"))
    var set: [SizeSetting] = []
    @Flag(help: "Print JSON.") var json = false

    private struct Report: Encodable {
      let recipe: String
      let rules: Int
      let layout: String?
      let tensors, dropped: Int?
      let notes: [String]
    }

    func run() async throws {
      let recipe = try RecipeCatalog().recipe(at: recipe)
      let inverse = try recipe.inverted()
      guard let checkpoint else {
        let report = Report(
          recipe: recipe.identifier,
          rules: recipe.ruleCount,
          layout: nil,
          tensors: nil,
          dropped: nil,
          notes: recipe.notes
        )
        if json { return try RecipesCommand.write(report) }
        return try StandardOutput.print(
          "\(recipe.identifier): \(recipe.ruleCount) rules, each with an inverse"
        )
      }
      let source = try SourceCheckpoint(path: checkpoint)
      let input = RecipeInput(source.checkpoint, configuration: source.configuration)
      let side = recipe.isOnRight(input) ? inverse : recipe
      let sizes = Dictionary(set.map { ($0.name, $0.value) }) { _, last in last }
      let plan = try ConversionPlan(
        [side],
        of: source.checkpoint,
        configuration: source.configuration,
        settings: sizes
      )
      let report = Report(
        recipe: recipe.identifier,
        rules: recipe.ruleCount,
        layout: side.left.name,
        tensors: plan.outputs.count,
        dropped: plan.dropped.count,
        notes: plan.notes
      )
      if json { return try RecipesCommand.write(report) }
      try StandardOutput.print(
        "\(checkpoint): layout '\(side.left.name)', complete; "
          + "\(plan.outputs.count) tensors in '\(side.right.name)'"
      )
    }
  }

  /// `recipes invert`.
  struct Invert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the recipe from right to left.",
      discussion: """
        EXAMPLE
          tessera recipes invert mine.json > back.json
        """
    )

    @Argument(help: "A recipe's name or file.") var recipe: String
    @Flag(help: "Accepted for uniformity: the output is JSON.") var json = false

    func run() async throws {
      let recipe = try RecipeCatalog().recipe(at: recipe)
      try RecipesCommand.write(recipe.inverted().document)
    }
  }

  private static func write(_ value: some Encodable) throws {
    try StandardOutput.writeDocument(value)
  }
}
