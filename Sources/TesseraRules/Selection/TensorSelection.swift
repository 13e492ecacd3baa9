import Foundation
package import TesseraCheckpoints
package import TesseraCore

/// Which tensors of a checkpoint are converted, and under which names: what comes before a recipe.
///
/// Training scripts wrap the weights in dictionaries beside optimizers and averages; the names then
/// begin with the wrappers' keys.
public struct TensorSelection: Sendable, Hashable {
  /// Which of several sets of weights.
  public enum Choice: Sendable, Hashable {
    /// The weights that are trained: the wrapper called `model`, `state_dict`, `module` and the like.
    case model
    /// Their moving average: the wrapper whose name says `ema`.
    case average
    /// What stands under this name.
    case key(String)

    /// The choice as users write it: `model`, `ema`, or a key.
    public init(_ text: String) {
      switch text {
      case "model": self = .model
      case "ema": self = .average
      default: self = .key(text)
      }
    }
  }

  /// The set of weights; nil for all.
  public var choice: Choice?
  /// Prefixes to take off the names, and patterns (with `*` or `?`) of names to leave out.
  public var stripped: [String]

  /// Selects tensors.
  public init(choice: Choice? = nil, stripped: [String] = []) {
    (self.choice, self.stripped) = (choice, stripped)
  }

  /// Whether every tensor keeps its name.
  public var isEverything: Bool { choice == nil && stripped.isEmpty }

  /// The rules that rename what is selected and name the rest as dropped.
  ///
  /// - Parameters:
  ///   - tensors: All tensors of a checkpoint.
  ///   - refusals: Those that cannot be read: they can be left out, and are never selected.
  /// - Returns: A rule for each selected tensor.
  /// - Throws: `TesseraError` where the choice is ambiguous or a prefix or pattern fits no name.
  package func rules(
    for tensors: [TensorInfo],
    unreadable refusals: [TensorRefusal] = []
  ) throws(TesseraError) -> ConversionRules {
    var rules = ConversionRules(recipe: isEverything ? "identity/1" : "select/1")
    let readable = Set(tensors.map(\.name))
    let others = Set(refusals.map(\.name)).subtracting(readable).subtracting([""])
    // The unreadable ones come last, so that the first names still belong to the tensors.
    var names = (tensors.map(\.name) + others.sorted()).map { Optional($0) }
    if let choice { try pick(choice, &names, &rules) }
    for text in stripped { try strip(text, &names, &rules) }
    rules.rules = zip(tensors, names).compactMap { tensor, name in
      name.map { ConversionRule(tensor, to: $0) }
    }
    return rules
  }

  private func pick(
    _ choice: Choice,
    _ names: inout [String?],
    _ rules: inout ConversionRules
  ) throws(TesseraError) {
    let all = names.compactMap { $0 }
    let picked = choice == .average ? try AveragedWeights(among: all) : nil
    let prefix: String
    if let picked {
      prefix = picked.prefix
    } else {
      prefix = try WeightWrapper.prefix(for: choice, among: all)
    }
    for (index, name) in names.enumerated() {
      guard let name else { continue }
      if let picked, let reason = picked.reasons[name] {
        rules.drop(name, because: reason)
        names[index] = nil
      } else if let rest = picked?.names[name] ?? WeightWrapper.rest(of: name, under: prefix) {
        names[index] = rest
      } else {
        rules.drop(name, because: "not under '\(prefix)'")
        names[index] = nil
      }
    }
    rules.notes += picked?.notes ?? ["the weights under '\(prefix)'"]
  }

  private func strip(
    _ text: String,
    _ names: inout [String?],
    _ rules: inout ConversionRules
  ) throws(TesseraError) {
    let isPattern = text.contains { "*?[".contains($0) }
    var found = false
    for (index, name) in names.enumerated() {
      guard let name else { continue }
      if isPattern, NameGlob(text).matches(name) {
        found = true
        rules.drop(name, because: "stripped by '\(text)'")
        names[index] = nil
      } else if !isPattern, name.hasPrefix(text), name.count > text.count {
        found = true
        names[index] = String(name.dropFirst(text.count))
      }
    }
    guard !found else { return }
    let what = isPattern ? "fits no name" : "begins no name"
    let present = WeightWrapper.candidates(among: names.compactMap { $0 })
    throw TesseraError.selection("--strip '\(text)' \(what)", among: present)
  }
}
