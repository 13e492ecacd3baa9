import TesseraCheckpoints
import TesseraCore

/// What a recipe says of rotary positions: which settings and tensors of its two sides state them.
struct RecipeRotary: Hashable, Sendable {
  /// The architecture, with which the keys of GGUF begin.
  let architecture: String
  /// The width of a head.
  let width: SizeExpression
}

extension Recipe {
  /// Whether a tensor holds divisors of rotary frequencies, which the other side states as settings.
  func holdsRotaryFactors(_ name: String, on side: Int) -> Bool {
    rotary != nil && name == RotaryFactors.tensorName
      && (side == 0 ? left : right).settings == .gguf
  }

  /// How the source scales its rotary positions.
  ///
  /// - Parameters:
  ///   - input: The source.
  ///   - sizes: The sizes, solved.
  /// - Returns: The scaling; nil where there is none.
  /// - Throws: `TesseraError` where the other side has no place for it, or where divisors and settings
  ///   of a GGUF file do not agree; the reader's errors.
  func rotaryScaling(of input: RecipeInput, _ sizes: [String: Int]) throws -> RotaryScaling? {
    guard let rotary else { return nil }
    let stated: RotaryScaling?
    do throws(TesseraError) {
      stated =
        left.settings == .gguf
        ? try RotaryScaling.stated(byKeysOf: rotary.architecture) { input.setting($0, in: left) }
        : try RotaryScaling.stated(byConfiguration: { input.setting($0, in: left) })
    } catch {
      throw error.inRecipe(identifier)
    }
    guard left.settings == .gguf else { return stated }
    return try rotaryScaling(stated, of: input, sizes)
  }

  /// The scaling that a GGUF file's tensor of divisors was made from, where there is one.
  ///
  /// llama.cpp's own files do not state it: the settings of LLaMA 3.1 are compared with the tensor.
  private func rotaryScaling(
    _ stated: RotaryScaling?,
    of input: RecipeInput,
    _ sizes: [String: Int]
  ) throws -> RotaryScaling? {
    guard let tensor = input.tensors.first(where: { holdsRotaryFactors($0.name, on: 0) }) else {
      guard case .llama3? = stated else { return stated }
      throw failure("is missing, though keys state its settings")
    }
    // Without data yet, the tensor is this program's own.
    guard let reader = input.reader else { return stated }
    let (width, base) = try rotaryFrequencies(of: input, sizes)
    guard tensor.shape == [(width + 1) / 2] else {
      throw failure("has shape \(tensor.shape), not [\((width + 1) / 2)]")
    }
    let divisors = try reader.floats(of: tensor)
    switch stated {
    case .llama3(let factors)?:
      guard factors.matches(divisors, width: width, base: base) else {
        throw failure("holds other divisors than the keys state")
      }
      return stated
    case nil:
      let usual = RotaryFactors(usualWith: Double(divisors.max() ?? 1))
      guard usual.matches(divisors, width: width, base: base) else {
        throw failure(
          "holds divisors of rotary frequencies whose settings the file does not state, and they are "
            + "not those of LLaMA 3.1 to 3.3"
        )
      }
      return .llama3(usual)
    default: throw failure("stands beside another scaling of the rotary positions")
    }
  }

  /// Adds the keys of GGUF, and the tensor of divisors.
  func addRotary(
    _ scaling: RotaryScaling?,
    to rules: inout ConversionRules,
    from input: RecipeInput,
    _ sizes: [String: Int]
  ) throws(TesseraError) {
    guard let rotary, let scaling, right.settings == .gguf else { return }
    rules.metadata += scaling.entries(rotary.architecture)
    guard case .llama3(let factors) = scaling else { return }
    let (width, base) = try rotaryFrequencies(of: input, sizes)
    let values = factors.values(width: width, base: base)
    let name = RotaryFactors.tensorName
    rules.stated.append(
      StatedTensor(name: name, tensor: Tensor(shape: [values.count], floats: values))
    )
    rules.keptTypes.insert(name)
  }

  /// The width of a head and the base of the frequencies.
  private func rotaryFrequencies(
    of input: RecipeInput,
    _ sizes: [String: Int]
  ) throws(TesseraError) -> (width: Int, base: Double) {
    guard let rotary, let width = rotary.width.value(sizes), width > 0 else {
      throw failure("the width of a head is not known")
    }
    let keys = [
      "rope_scaling.rope_theta", "rope_parameters.rope_theta", "rope_theta",
      "\(rotary.architecture).rope.freq_base",
    ]
    let stated = keys.lazy.compactMap { input.setting($0, in: left) }.first
    let base = stated.map { $0.number ?? $0.string.flatMap { Double($0) } ?? 0 } ?? 10000
    guard base > 0, base.isFinite else { throw failure("the base of the frequencies is no number") }
    return (width, base)
  }

  private func failure(_ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, place: RotaryFactors.tensorName).inRecipe(identifier)
  }
}
