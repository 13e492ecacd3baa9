import ArgumentParser
import TesseraCore
import TesseraTokenizers

/// FSQ levels for a vocabulary.
struct LevelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "levels",
    abstract: "Recommend FSQ levels for a vocabulary, or judge given ones.",
    usage: "tessera levels [--target <target>] [--levels <levels>] [<options>]",
    discussion: """
      For powers of two the levels are those of the FSQ paper's table (arXiv 2309.15505); \
      otherwise 5 to 8 levels per dimension with the nearest product. Warnings: fewer than 5 \
      levels, 2 levels, a product beyond the type that codes are to fit.

      EXAMPLE
        tessera levels --target 16384
        tessera levels --levels 8,5,5,5 --dtype uint16 --json
      """
  )

  @Option(help: "The wanted number of codes.")
  var target: Int?

  @Option(help: "Levels to judge, such as 8,5,5,5.")
  var levels: LevelList?

  @Option(help: "The unsigned type that codes are to fit; the narrowest unless given.")
  var dtype: CodeType?

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard (target == nil) != (levels == nil) else {
      throw ValidationError("name either --target or --levels")
    }
  }

  func run() throws {
    let type = dtype?.elementType
    let found =
      if let levels {
        try LevelRecommendation(levels: levels.values, fitting: type)
      } else {
        try LevelRecommendation(target: target ?? 0, fitting: type)
      }
    let size = found.vocabularySize
    let narrowest = size.map { "\(ElementType.unsigned(holding: UInt64($0)))" }
    if !reporting.json {
      let text = found.levels.map(String.init).joined(separator: ",")
      try StandardOutput.print(
        "\(text) = \(size.map(String.init) ?? "more than 2^63") codes, \(narrowest ?? "no type")"
      )
    }
    for warning in found.warnings { reporting.note("warning: \(warning)") }
    try reporting.report(
      Summary(
        target: target,
        levels: found.levels,
        vocabulary: size,
        dtype: narrowest,
        warnings: found.warnings
      )
    )
  }

  private struct Summary: Encodable {
    let target: Int?
    let levels: [Int]
    let vocabulary: Int?
    let dtype: String?
    let warnings: [String]
  }
}

/// Levels such as `8,5,5,5`.
struct LevelList: ExpressibleByArgument {
  let values: [Int]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    values = parts.compactMap(\.self)
    guard values.count == parts.count, !values.isEmpty else { return nil }
  }
}

/// The unsigned types that codes are stored in.
enum CodeType: String, ExpressibleByArgument, CaseIterable {
  case uint8, uint16, uint32

  var elementType: ElementType {
    switch self {
    case .uint8: .uint8
    case .uint16: .uint16
    case .uint32: .uint32
    }
  }
}
